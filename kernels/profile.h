// Where a step's time goes, for `sluice bench`: seconds by op and size, and the GEMMs that were called. Each op of
// ops.h holds a Timed, which only looks at a flag while no profile is taken. A profile is of the thread that calls the
// ops.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "kernels/gemm_shape.h"

namespace sluice {

// The least that a call has to do, by any implementation.
struct Work {
    std::array<int64_t, 3> size{};  // rows and width; or m, n and k of a GEMM
    double flops = 0;               // of a GEMM, whose rate is FLOP/s
    double bytes = 0;               // of any other op, whose rate is bytes/s: each operand read or written once
};
// Arrays (rows, width) that are read or written (both: two), and `more` elements.
template <class B>
Work moved(int64_t rows, int64_t width, int64_t arrays, int64_t more = 0) {
    size_t item = sizeof(B);
    if constexpr (requires { typename B::T; }) item = sizeof(typename B::T);
    return {{rows, width, 0}, 0, double(item) * double(rows * width * arrays + more)};
}
// Where the number of rows differs from call to call: all calls are reported together.
inline Work ragged(Work work) {
    work.size[0] = 0;
    return work;
}
inline Work multiplied(int64_t m, int64_t n, int64_t k) {
    return {{m, n, k}, 2.0 * double(m) * double(n) * double(k), 0};
}

struct OpTime {
    int64_t calls = 0;
    double seconds = 0;
    Work work;  // of all calls together
};

struct Profile {
    std::map<std::pair<std::string, std::array<int64_t, 3>>, OpTime> ops;  // by op and size
    std::map<GemmShape, int64_t> gemms;                                    // calls

    void add(const char* op, const Work& work, double seconds);  // a call
};

// From here on ops and GEMMs of this thread are added to `profile`, or to none where it is null.
void profile_into(Profile* profile);
// For ops whose time is known later: resolve(profile) is called, on the profile's thread, before it ends. Returns true.
bool resolve_profiles_by(void (*resolve)(Profile& profile));
bool profiling();  // whether this thread's are

class Timed {
 public:
    Timed(const char* op, const Work& work);
    ~Timed();
    Timed(const Timed&) = delete;
    Timed& operator=(const Timed&) = delete;

 private:
    const char* op_;
    Work work_;
    std::chrono::steady_clock::time_point start_;
};
void count_gemm(const GemmShape& shape);

}  // namespace sluice
