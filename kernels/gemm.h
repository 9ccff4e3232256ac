// Products of matrices in float on a CPU, by libraries. A library may have several ways to multiply, and which is the
// fastest hangs on machine, shape and threads. Training times them at a shape's first product, and the choice is kept,
// so that no timing changes bits: in a file of this kind of machine ($SLUICE_CACHE, $XDG_CACHE_HOME/sluice or
// ~/.cache/sluice), read by every later run, and in checkpoints, whose choices a resume takes first. Where no such file
// can be written nothing is timed, and one fixed way serves what it does not tell; so it does for small products.
#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "base/words.h"

namespace sluice {

// C (m, n) = or += A (m, k) B (k, n); A is stored as (k, m), or B as (n, k), where transposed.
struct GemmShape {
    int64_t m, n, k;
    bool transpose_a, transpose_b, add;
    bool bf16 = false;    // of A and B: multiplied in one way only
    bool ragged = false;  // rows (m, or k where A is transposed) differ from step to step
    auto operator<=>(const GemmShape&) const = default;
    double flops() const { return 2.0 * double(m) * double(n) * double(k); }
};

enum class GemmWay { matmul, sgemm, slabs, blis };
template <>
struct Words<GemmWay> {
    static constexpr std::pair<const char*, GemmWay> all[] = {
        {"onednn_matmul", GemmWay::matmul},  // a primitive made for the shape
        {"onednn_sgemm", GemmWay::sgemm},
        {"onednn_slabs", GemmWay::slabs},  // sgemm over slabs of k, one after another
        {"blis", GemmWay::blis},
    };
};

// A way that was chosen. Ragged products share the choice of all that have as many rows when rounded up to a power of
// two; `shape` is so rounded.
struct GemmChoice {
    GemmShape shape;
    int threads;
    GemmWay way;
};
// As a line, "onednn_sgemm 4096x384x1024 nt add threads 2", and back; false: it is none.
std::string to_line(const GemmChoice& choice);
bool from_line(const std::string& line, GemmChoice& choice);

// While one lives, products that this thread asks for at new shapes are timed; otherwise they are done in a fixed way.
class GemmTuning {
 public:
    GemmTuning();
    ~GemmTuning();
    GemmTuning(const GemmTuning&) = delete;
    GemmTuning& operator=(const GemmTuning&) = delete;
    static bool wanted();
};

// The choices are those of one kind of machine: its processor and the libraries' versions, as a short hash.
const std::string& gemm_machine();
// The choices that products of this process have taken, or that use_gemm_choices gave it.
std::vector<GemmChoice> gemm_choices();
// From here on these are taken, before those of the machine's file.
void use_gemm_choices(const std::vector<GemmChoice>& choices);

// Refuses (Exit::config) what oneDNN would not multiply: bf16 where DNNL_MAX_CPU_ISA or the processor stop it.
void require_bf16_products();

// Seconds of one such product: the least of so many, without the first unless it is the only one.
double measure_gemm(const GemmShape& shape, int times = 4);
// Bytes a second, read and written, of copying arrays larger than caches; the best of several.
double measure_copy_rate();
// How fast this rank multiplies, FLOP/s at 1024 x 1024 x 1024, timed as above: what MFU is counted against on a CPU.
double measure_gemm_rate(bool bf16 = false, int times = 4);

}  // namespace sluice
