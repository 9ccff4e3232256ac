#include "kernels/cuda/prim/host.h"

#include <cstdio>
#include <mutex>
#include <set>

#include "base/check.h"
#include "kernels/cuda/prim/op.h"

namespace sluice {

void cuda_done(cudaError_t error, const char* what) {
    if (error == cudaSuccess) return;
    if (error == cudaErrorMemoryAllocation) fail(Exit::out_of_memory, std::string("out of memory: ") + what);
    fail(Exit::other, std::string(what) + ": " + cudaGetErrorString(error) + queued_last());
}

bool is_captured(cudaStream_t stream) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    cuda_done(cudaStreamIsCapturing(stream, &status), "a stream");
    return status != cudaStreamCaptureStatusNone;
}

void warn_once(const std::string& kind, const std::string& text) {
    static std::mutex mutex;
    static std::set<std::string> warned;
    const std::lock_guard lock(mutex);
    if (warned.insert(kind).second) std::fprintf(stderr, "warning: %s\n", text.c_str());
}

}  // namespace sluice
