// Where a step's time goes, for `sluice bench`: seconds by op, and the products of matrices that were asked for. Each
// op of ops.h holds a Timed; while no profile is taken, that is a look at a flag. A profile is of one thread, that
// which calls the ops.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "kernels/gemm.h"

namespace sluice {

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

}  // namespace sluice
