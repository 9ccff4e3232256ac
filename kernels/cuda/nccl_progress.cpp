#include "kernels/cuda/nccl_progress.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/clock.h"
#include "kernels/cuda/prim/op.h"

namespace sluice {

static void done(cudaError_t error) {
    if (error != cudaSuccess)
        fail(Exit::other, std::string("NCCL: an event: ") + cudaGetErrorString(error) + queued_last());
}

NcclProgress::NcclProgress() {
    for (Mark& mark : ring_) done(cudaEventCreateWithFlags(&mark.event, cudaEventDisableTiming));
}

NcclProgress::~NcclProgress() {
    for (Mark& mark : ring_) cudaEventDestroy(mark.event);
}

void NcclProgress::record(const NcclPlace& place, const char* group, cudaStream_t stream) {
    number_++;
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    done(cudaStreamIsCapturing(stream, &capture));
    if (capture != cudaStreamCaptureStatusNone) return;  // nobody may ask an event that a graph records
    const std::lock_guard lock(mutex_);
    if (used_ < kEvents) used_++;
    Mark& mark = ring_[(first_ + used_ - 1) % kEvents];
    done(cudaEventRecord(mark.event, stream));
    mark.work = {group, place.what, number_, place.step, 0};
    mark.queued = steady_seconds();
}

std::optional<NcclWork> NcclProgress::oldest() {
    const std::lock_guard lock(mutex_);
    while (used_ > 0 && cudaEventQuery(ring_[first_].event) != cudaErrorNotReady) {  // an error is told where it is met
        first_ = (first_ + 1) % kEvents;
        used_--;
        moved_ = steady_seconds();
    }
    if (used_ == 0) return std::nullopt;
    NcclWork work = ring_[first_].work;
    work.seconds = steady_seconds() - std::max(moved_, ring_[first_].queued);
    return work;
}

}  // namespace sluice
