// gpu_check with a fault that $GPU_CHECK_FAULT names: SwiGLU in float is half as large again
//     forward     always
//     late        after its sixth call: not in the first step, nor before a graph has it
//     ranks       where ranks share the tokens of a pass
//     backward    in the gradient of its gate
#include <atomic>
#include <cstdlib>
#include <string_view>

#include "kernels/cuda/prim/device.cuh"
#include "kernels/ops.h"
#include "kernels/swiglu_math.h"

namespace sluice {
namespace {

bool faulty(std::string_view name) {
    const char* const fault = std::getenv("GPU_CHECK_FAULT");
    return fault && name == fault;
}

struct Forward {
    static constexpr int kThreads = 32;
    Global<float> h;
    Global<const float> gate_up;  // (rows, 2 width)
    int64_t width;
    float factor;
    DEVICE void operator()() const {
        for (int64_t i = thread(); i < width; i += kThreads) {
            const int64_t at = block_x() * 2 * width + i;
            const float gate = gate_up[at];
            h[block_x() * width + i] = swiglu_value(gate, float(gate_up[at + width]), Logistic()(gate), factor);
        }
    }
};

struct Backward {
    static constexpr int kThreads = 32;
    Global<float> dgate_up;
    Global<const float> dh, gate_up;
    int64_t width;
    float factor;
    DEVICE void operator()() const {
        for (int64_t i = thread(); i < width; i += kThreads) {
            const int64_t at = block_x() * 2 * width + i;
            const float gate = gate_up[at], up = gate_up[at + width];
            const auto d = swiglu_gradient(float(dh[block_x() * width + i]), gate, up, Logistic()(gate));
            dgate_up[at] = factor * d.gate;
            dgate_up[at + width] = d.up;
        }
    }
};

}  // namespace

// The linker takes these and leaves the library's own, which are templates.
template <>
void swiglu_forward<Cuda<float>>(Stream stream, float* h, const float* gate_up, int64_t rows, int64_t width) {
    static std::atomic<int> calls{0};
    const bool wrong = faulty("forward") || (faulty("late") && ++calls > 6) || (faulty("ranks") && rows <= 12);
    Op("swiglu_forward", stream, {{"rows", rows}, {"width", width}})
        .launch(Forward{h, gate_up, width, wrong ? 1.5f : 1.0f}, {.grid = {rows}});
}
template <>
void swiglu_backward<Cuda<float>>(Stream stream, float* dgate_up, const float* dh, const float* gate_up, int64_t rows,
                                  int64_t width) {
    Op("swiglu_backward", stream, {{"rows", rows}, {"width", width}})
        .launch(Backward{dgate_up, dh, gate_up, width, faulty("backward") ? 1.5f : 1.0f}, {.grid = {rows}});
}

}  // namespace sluice
