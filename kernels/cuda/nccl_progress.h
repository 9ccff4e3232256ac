// How far a rank's collectives have got: an event behind each; and in graphs, whose events nobody may ask, a number
// before each, and behind those that are queued aside.
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
    static constexpr size_t kEvents = 64;

    NcclProgress();
    ~NcclProgress();
    NcclProgress(const NcclProgress&) = delete;
    NcclProgress& operator=(const NcclProgress&) = delete;

    // Before and after a collective is queued on the stream. Where all events stand for work that is not done, the last
    // one is moved on.
    void begin(const NcclPlace& place, const char* group, cudaStream_t stream);
    void end(const NcclPlace& place, const char* group, cudaStream_t stream);
    // The stream was given what waits for all collectives, among them those of graphs that it was given before.
    void join(const NcclPlace& place, const char* group, cudaStream_t stream);

    // From another thread too, which has the same device. Within a graph: of the collective that is aside and not done,
    // else of the one that the stream came to last, with the number that it had when it was captured.
    std::optional<NcclWork> oldest();

 private:
    struct Mark {
        cudaEvent_t event = nullptr;
        NcclWork work;
        double queued = 0;  // steady_seconds()
        bool joins = false;
    };
    struct Captured {
        const char *group, *what;
    };
    void record(const NcclPlace& place, const char* group, cudaStream_t stream, bool joins);

    std::mutex mutex_;
    std::array<Mark, kEvents> ring_;
    size_t first_ = 0, used_ = 0;
    int64_t number_ = 0;
    std::map<int64_t, Captured> captured_;  // collectives of graphs, by number
    HostMark in_order_, aside_;             // the numbers of those that graphs have begun; 0: none
    std::pair<int64_t, int64_t> seen_;      // the oldest work, and where in a graph it was, when last asked for
    double moved_ = 0;                      // steady_seconds() when that was first seen
};

}  // namespace sluice
