#include "kernels/replay.h"

#include <cstdio>
#include <string>

#include "base/check.h"
#include "kernels/cuda/prim/host.h"
#include "kernels/cuda/prim/op.h"
#include "kernels/profile.h"

namespace sluice {

// An error of what was queued before shows at any call.
static void done(cudaError_t error, const char* name) {
    if (error != cudaSuccess) cuda_done(error, ("the graph of a " + std::string(name)).c_str());
}

template <class B>
struct Replay<B>::Captured {
    ~Captured() {
        if (exec) cudaGraphExecDestroy(exec);
    }
    cudaGraphExec_t exec = nullptr;
    bool queued_before = false;  // one by one
    bool refused = false;        // it cannot be captured
};

template <class B>
Replay<B>::Replay(const char* name) : name_(name), captured_(std::make_unique<Captured>()) {}
template <class B>
Replay<B>::~Replay() = default;

template <class B>
typename Replay<B>::Turn Replay<B>::begin(Stream stream) {
    Captured& c = *captured_;
    if (profiling() || synchronous_launches() || c.refused) return Turn::queue;
    if (c.exec) return Turn::launch;
    if (!c.queued_before) {
        c.queued_before = true;
        return Turn::queue;
    }
    done(cudaStreamBeginCapture(handle_of(stream), cudaStreamCaptureModeThreadLocal), name_);
    return Turn::capture;
}

template <class B>
typename Replay<B>::Turn Replay<B>::end(Stream stream) {
    Captured& c = *captured_;
    cudaGraph_t graph = nullptr;
    cudaError_t error = cudaStreamEndCapture(handle_of(stream), &graph);
    if (error == cudaSuccess) error = cudaGraphInstantiate(&c.exec, graph, 0);
    if (graph) cudaGraphDestroy(graph);
    if (error == cudaSuccess) return Turn::launch;
    cudaGetLastError();  // forgotten: it is told here
    c.exec = nullptr;
    c.refused = true;
    std::fprintf(stderr, "warning: no graph of a %s can be made (%s): its ops are queued one by one, which is slower\n",
                 name_, cudaGetErrorString(error));
    return Turn::queue;
}

template <class B>
void Replay<B>::abandon(Stream stream) {
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(handle_of(stream), &graph);
    cudaGetLastError();  // forgotten: what was thrown says more
    if (graph) cudaGraphDestroy(graph);
}

template <class B>
void Replay<B>::launch(Stream stream) {
    const Op op(name_, stream, {});
    done(cudaGraphLaunch(captured_->exec, handle_of(stream)), name_);
    op.queued("cudaGraphLaunch");
}

#define INSTANTIATE(B) template class Replay<B>;
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
