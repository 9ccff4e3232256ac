#include "kernels/cuda/nccl_progress.h"

#include <algorithm>

#include "base/clock.h"
#include "kernels/cuda/prim/host.h"

namespace sluice {

static Stream stream_of(cudaStream_t handle) {
    Stream stream;
    stream.handle = handle;
    return stream;
}

NcclProgress::NcclProgress() {
    for (Mark& mark : ring_) cuda_done(cudaEventCreateWithFlags(&mark.event, cudaEventDisableTiming), "NCCL: an event");
}

NcclProgress::~NcclProgress() {
    for (Mark& mark : ring_) cudaEventDestroy(mark.event);
}

void NcclProgress::begin(const NcclPlace& place, const char* group, cudaStream_t stream) {
    number_++;
    if (!is_captured(stream)) return;
    (place.aside ? aside_ : in_order_).write(place.what, stream_of(stream), number_);
    const std::lock_guard lock(mutex_);
    captured_[number_] = {group, place.what};
}

void NcclProgress::end(const NcclPlace& place, const char* group, cudaStream_t stream) {
    if (!is_captured(stream))
        record(place, group, stream, false);
    else if (place.aside)  // nothing of the step waits for this write, as it would where collectives are in order
        aside_.write(place.what, stream_of(stream), 0);
}

void NcclProgress::join(const NcclPlace& place, const char* group, cudaStream_t stream) {
    number_++;
    if (!is_captured(stream)) record(place, group, stream, true);
}

void NcclProgress::record(const NcclPlace& place, const char* group, cudaStream_t stream, bool joins) {
    const std::lock_guard lock(mutex_);
    if (used_ < kEvents) used_++;
    Mark& mark = ring_[(first_ + used_ - 1) % kEvents];
    cuda_done(cudaEventRecord(mark.event, stream), "NCCL: an event");
    mark.work = {group, place.what, number_, place.step, 0};
    mark.queued = steady_seconds();
    mark.joins = joins;
}

std::optional<NcclWork> NcclProgress::oldest() {
    const std::lock_guard lock(mutex_);
    while (used_ > 0 && cudaEventQuery(ring_[first_].event) != cudaErrorNotReady) {  // an error is told where it is met
        first_ = (first_ + 1) % kEvents;
        used_--;
    }
    if (used_ == 0) return std::nullopt;
    const Mark& mark = ring_[first_];
    NcclWork work = mark.work;
    for (const HostMark* begun : {&in_order_, &aside_}) {
        const auto found = captured_.find(begun->read());
        if (!mark.joins || found == captured_.end()) continue;
        work.number = found->first;
        work.group = found->second.group;
        work.what = found->second.what;
    }
    const double now = steady_seconds();
    if (const std::pair at{mark.work.number, work.number}; at != seen_) {
        seen_ = at;
        moved_ = now;
    }
    work.seconds = now - std::max(moved_, mark.queued);
    return work;
}

}  // namespace sluice
