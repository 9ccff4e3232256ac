// How far a rank's collectives have got: an event behind each, outside of captures.
#pragma once
#include <array>
#include <cstdint>
#include <mutex>
#include <optional>

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

    // Work was queued on the stream. Where all events stand for work that is not done, the last one is moved on.
    void record(const NcclPlace& place, const char* group, cudaStream_t stream);
    // From another thread too, which has the same device.
    std::optional<NcclWork> oldest();

 private:
    struct Mark {
        cudaEvent_t event = nullptr;
        NcclWork work;
        double queued = 0;  // steady_seconds()
    };
    std::mutex mutex_;
    std::array<Mark, kEvents> ring_;
    size_t first_ = 0, used_ = 0;
    int64_t number_ = 0;
    double moved_ = 0;  // steady_seconds() when work was last found done
};

}  // namespace sluice
