#include "kernels/cuda/nccl_progress.h"

#include "base/clock.h"
#include "kernels/cuda/prim/host.h"

namespace sluice {

static Stream stream_of(cudaStream_t handle) {
    Stream stream;
    stream.handle = handle;
    return stream;
}

NcclProgress::NcclProgress() {
    const auto create = [](cudaEvent_t& event) {
        cuda_done(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "NCCL: an event");
    };
    create(begins_);
    for (Mark& mark : ring_) {
        create(mark.begun);
        create(mark.done);
    }
}

NcclProgress::~NcclProgress() {
    cudaEventDestroy(begins_);
    for (const Mark& mark : ring_)
        for (const cudaEvent_t event : {mark.begun, mark.done}) cudaEventDestroy(event);
}

void NcclProgress::begin(const NcclPlace& place, const char* group, cudaStream_t stream) {
    const std::lock_guard lock(mutex_);
    number_++;
    if (is_captured(stream)) {
        (place.aside ? aside_ : in_order_).write(place.what, stream_of(stream), number_);
        captured_[number_] = {group, place.what};
        unjoined_ = unjoined_ || !place.aside;
    } else {
        cuda_done(cudaEventRecord(begins_, stream), "NCCL: an event");
    }
}

void NcclProgress::end(const NcclPlace& place, const char* group, cudaStream_t stream) {
    if (!is_captured(stream))
        record(place, group, stream, false);
    else if (place.aside)  // nothing of the step waits for this write, as it would where collectives are in order
        aside_.write(place.what, stream_of(stream), 0);
}

void NcclProgress::join(const NcclPlace& place, const char* group, cudaStream_t stream) {
    number_++;
    if (!is_captured(stream))
        record(place, group, stream, true);
    else if (std::exchange(unjoined_, false))
        in_order_.write(place.what, stream_of(stream), 0);
}

void NcclProgress::record(const NcclPlace& place, const char* group, cudaStream_t stream, bool joins) {
    const std::lock_guard lock(mutex_);
    const bool stands = used_ == kMarks && !last().joins;  // for collectives before too
    if (used_ < kMarks) used_++;
    Mark& mark = last();
    cuda_done(cudaEventRecord(mark.done, stream), "NCCL: an event");
    if (!joins && !stands) std::swap(mark.begun, begins_);
    mark.joins = joins && !stands;
    if (!joins || !stands) mark.work = {group, place.what, number_, place.step, 0};
}

std::optional<NcclWork> NcclProgress::begun(const Mark& mark) const {
    if (!mark.joins) return cudaEventQuery(mark.begun) == cudaErrorNotReady ? std::nullopt : std::optional(mark.work);
    for (const HostMark* of_graph : {&aside_, &in_order_})
        if (const auto found = captured_.find(of_graph->read()); found != captured_.end())
            return NcclWork{found->second.group, found->second.what, found->first, mark.work.step, 0};
    return std::nullopt;
}

std::optional<NcclWork> NcclProgress::current() {
    const std::lock_guard lock(mutex_);
    while (used_ > 0 && cudaEventQuery(ring_[first_].done) != cudaErrorNotReady) {  // an error is told where it is met
        first_ = (first_ + 1) % kMarks;
        used_--;
    }
    if (used_ == 0) return std::nullopt;
    std::optional<NcclWork> work = begun(ring_[first_]);
    const double now = steady_seconds();
    if (const std::pair at{ring_[first_].work.number, work ? work->number : 0}; at != seen_) {
        seen_ = at;
        since_ = now;
    }
    if (work) work->seconds = now - since_;
    return work;
}

}  // namespace sluice
