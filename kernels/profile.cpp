#include "kernels/profile.h"

namespace sluice {
namespace {

thread_local Profile* current = nullptr;

}  // namespace

void profile_into(Profile* profile) { current = profile; }
bool profiling() { return current != nullptr; }

Timed::Timed(const char* op, const Work& work) : op_(op), work_(work) {
    if (current) start_ = std::chrono::steady_clock::now();
}

Timed::~Timed() {
    if (!current) return;
    OpTime& time = current->ops[{op_, work_.size}];
    time.calls++;
    time.work.size = work_.size;
    time.work.flops += work_.flops;
    time.work.bytes += work_.bytes;
    time.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void count_gemm(const GemmShape& shape) {
    if (current) current->gemms[shape]++;
}

}  // namespace sluice
