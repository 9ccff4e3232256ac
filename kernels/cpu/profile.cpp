#include "kernels/profile.h"

namespace sluice {
namespace {

thread_local Profile* current = nullptr;

}  // namespace

void profile_into(Profile* profile) { current = profile; }

Timed::Timed(const char* op) : op_(op) {
    if (current) start_ = std::chrono::steady_clock::now();
}

Timed::~Timed() {
    if (!current) return;
    OpTime& time = current->ops[op_];
    time.calls++;
    time.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void count_gemm(const GemmShape& shape) {
    if (current) current->gemms[shape]++;
}

}  // namespace sluice
