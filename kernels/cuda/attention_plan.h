// Attention as a graph of cuDNN's operations, and the engine's plan for it.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>

#include "kernels/cuda/cudnn_graph.h"
#include "kernels/ops.h"

namespace sluice {

enum class AttentionPass { forward, backward };

// All that a plan is chosen by. n: what it is called for at a time, a chunk of the sequences or heads; out, dout and
// lse are dense with `heads` heads of a token.
struct AttentionKey {
    AttentionPass pass;
    AttentionShape n;
    int64_t heads;
    AttentionStrides strides;

    bool operator==(const AttentionKey&) const = default;
};
// "backward, 2 x 4096, heads 16/8 of 16, dim 128, window 0, strides 4096 4096 4096, 4096 4096 4096".
std::string to_text(const AttentionKey& key);

// The tensors of a call, in the order of their numbers in the graph.
struct AttentionForwardTensors {
    const void *q, *k, *v;
    void *out, *lse;
};
struct AttentionBackwardTensors {
    const void *q, *k, *v, *out, *lse, *dout;
    void *dq, *dk, *dv, *delta;
};

class AttentionPlan {
 public:
    // Errors: CudnnError, where no engine takes it in so many bytes of workspace.
    AttentionPlan(const AttentionKey& key, const CudnnDescriptor& device, int64_t workspace);

    const AttentionKey& key() const { return key_; }
    int64_t engine() const { return plan_.engine(); }
    int64_t workspace() const { return plan_.workspace(); }

    // Errors: CudnnError.
    void queue(cudnnHandle_t handle, const AttentionForwardTensors& x, double scale, void* workspace) const;
    void queue(cudnnHandle_t handle, const AttentionBackwardTensors& x, double scale, void* workspace) const;

 private:
    void queue(cudnnHandle_t handle, std::initializer_list<const void*> tensors, double scale, void* workspace) const;

    AttentionKey key_;
    CudnnGraph graph_;
    CudnnPlan plan_;
};

}  // namespace sluice
