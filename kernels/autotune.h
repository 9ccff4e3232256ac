// Autotuning. Where a library has several algorithms for one operation, a backend times them once and keeps the choice:
// another algorithm adds up in another order, so a choice that changed within a run would change its bits. What was
// chosen is opaque here. It is lines of text, in a section that names a library on a kind of machine.
//
// A checkpoint keeps the sections of all ranks, and a resumed rank imports its own, or that of any rank on the same
// kind of machine; a section that no autotuner of this process has written is kept as it is. Ranks need not agree: a
// rank's results depend on its own choices alone.
//
// How a backend joins: in its folder it derives a class from Autotuner and defines one object of it, of static
// lifetime, in the source file of the function that chooses (the linker then keeps both). It looks up the operation
// among its choices, times only while AutotuneScope::active(), and takes a fixed algorithm otherwise. machine() is a
// hash of all that makes a choice invalid: processor or GPU, versions of the library. The CPU's is the bare hash
// (kernels/cpu/gemm); others begin with the library's name and a dash, as "cublaslt-3f...". Nothing above kernels/
// changes.
#pragma once
#include <set>
#include <string>
#include <vector>

namespace sluice {

// Choices of one library on one kind of machine.
struct AutotuneSection {
    std::string machine;
    std::set<std::string> lines;
};

// While one lives, this thread may time what it has no choice for. Training opens one around forward, backward and the
// optimizer; evaluation and generation open none, so that they are as fast at once and leave no choices behind.
class AutotuneScope {
 public:
    AutotuneScope();
    ~AutotuneScope();
    AutotuneScope(const AutotuneScope&) = delete;
    AutotuneScope& operator=(const AutotuneScope&) = delete;
    static bool active();
};

// What the operations of this process have used, or were given by import_autotune(): a section for each library, also
// where it is empty.
std::vector<AutotuneSection> export_autotune();
// From here on the section's choices are used, before any that are found elsewhere. A section of another library or
// machine is ignored, and so is a line that cannot be read.
void import_autotune(const AutotuneSection& section);

// What a backend implements. The object joins when it is made.
class Autotuner {
 public:
    virtual const std::string& machine() const = 0;  // empty: what it would time for is not there
    virtual std::set<std::string> export_lines() const = 0;
    virtual void import_lines(const std::set<std::string>& lines) = 0;

    Autotuner(const Autotuner&) = delete;
    Autotuner& operator=(const Autotuner&) = delete;

 protected:
    Autotuner();
    ~Autotuner();
};

}  // namespace sluice
