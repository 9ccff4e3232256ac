// Which collective a rank is in: events stand before and behind each. In graphs, whose events nobody may ask, a number
// is left before each, and behind those that are queued aside.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "kernels/cuda/host_mark.h"
#include "kernels/cuda/prim/runtime.h"
#include "kernels/nccl.h"

namespace sluice {

class NcclProgress {
 public:
    static constexpr size_t kMarks = 512;

    NcclProgress();
    ~NcclProgress();
    NcclProgress(const NcclProgress&) = delete;
    NcclProgress& operator=(const NcclProgress&) = delete;

    // Before and after a collective is queued on the stream. Where as many as there are marks are not done, the last
    // mark stands for all that follow.
    void begin(const NcclPlace& place, const char* group, cudaStream_t stream);
    void end(const NcclPlace& place, const char* group, cudaStream_t stream);
    // The stream was given what waits for all collectives, among them those of graphs that it was given before.
    void join(const NcclPlace& place, const char* group, cudaStream_t stream);

    // The oldest collective that has begun and is not done; from another thread too, which has the same device. Of a
    // graph, with the number that it had when it was captured: one that is aside, or else the last one that began in
    // the stream's order, which may be done.
    std::optional<NcclWork> current();

 private:
    struct Mark {
        cudaEvent_t begun = nullptr, done = nullptr;
        NcclWork work;
        bool joins = false;  // stands for no collective of its own: those of graphs before it may be under way
    };
    struct Captured {
        const char *group, *what;
    };
    Mark& last() { return ring_[(first_ + used_ - 1) % kMarks]; }
    void record(const NcclPlace& place, const char* group, cudaStream_t stream, bool joins);
    std::optional<NcclWork> begun(const Mark& mark) const;

    std::mutex mutex_;
    std::array<Mark, kMarks> ring_;
    size_t first_ = 0, used_ = 0;
    cudaEvent_t begins_ = nullptr;  // before the collective that is being queued
    int64_t number_ = 0;
    std::map<int64_t, Captured> captured_;  // collectives of graphs, by number
    HostMark in_order_, aside_;             // the numbers of those that graphs have begun; 0: none
    bool unjoined_ = false;                 // what was captured last has one in order
    std::pair<int64_t, int64_t> seen_;      // the numbers of the oldest mark and of the collective, when last looked at
    double since_ = 0;                      // steady_seconds() when they were first seen
};

}  // namespace sluice
