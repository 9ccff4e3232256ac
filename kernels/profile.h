// Where a step's time goes, for `sluice bench`: seconds by op, and the products of matrices that were asked for. Each
// op of ops.h holds a Timed; while no profile is taken, that is a look at a flag. A profile is of one thread, that
// which calls the ops.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace sluice {

// C (m, n) = or += A (m, k) B (k, n); A is stored as (k, m), or B as (n, k), where transposed.
struct GemmShape {
    int64_t m, n, k;
    bool transpose_a, transpose_b, add;
    auto operator<=>(const GemmShape&) const = default;
    double flops() const { return 2.0 * double(m) * double(n) * double(k); }
};

struct OpTime {
    int64_t calls = 0;
    double seconds = 0;
};

struct Profile {
    std::map<std::string, OpTime> ops;
    std::map<GemmShape, int64_t> gemms;  // how often
};

// From here on ops and products of this thread are added to `profile`; null: to none.
void profile_into(Profile* profile);

class Timed {
 public:
    explicit Timed(const char* op);
    ~Timed();
    Timed(const Timed&) = delete;
    Timed& operator=(const Timed&) = delete;

 private:
    const char* op_;
    std::chrono::steady_clock::time_point start_;
};
void count_gemm(const GemmShape& shape);

// Seconds that the library takes for one such product in float, the least of several.
double measure_gemm(const GemmShape& shape);

}  // namespace sluice
