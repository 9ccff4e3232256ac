// Times what a stream does, by events.
#pragma once
#include "kernels/cuda/prim/host.h"

namespace sluice {

class Timer {
 public:
    explicit Timer(cudaStream_t stream) : stream_(stream) {
        for (cudaEvent_t* event : {&start_, &end_})
            if (const cudaError_t error = cudaEventCreateWithFlags(event, cudaEventDefault); error != cudaSuccess) {
                destroy();
                cuda_done(error, "an event");
            }
    }
    ~Timer() { destroy(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    // Of what run() queues, which is waited for.
    template <class F>
    float milliseconds(F&& run) {
        float time = 0;
        cuda_done(cudaEventRecord(start_, stream_), "an event");
        run();
        cuda_done(cudaEventRecord(end_, stream_), "an event");
        cuda_done(cudaEventSynchronize(end_), "timing");
        cuda_done(cudaEventElapsedTime(&time, start_, end_), "timing");
        return time;
    }

 private:
    void destroy() {
        for (const cudaEvent_t event : {start_, end_})
            if (event) cudaEventDestroy(event);
    }
    cudaStream_t stream_;
    cudaEvent_t start_ = nullptr, end_ = nullptr;
};

}  // namespace sluice
