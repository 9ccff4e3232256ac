// The tensors of a model beside its parameters: activations, scratch, and the sums of a step.
#pragma once
#include <vector>

#include "layers/lm_head.h"
#include "layers/probe.h"
#include "model/block.h"
#include "tensor/arena.h"

namespace sluice {

// Bytes by kind, planned without memory; a Model allocates exactly these.
struct ModelBytes {
    size_t weights = 0, gradients = 0;
    size_t attention = 0, ffn = 0, residual = 0;  // activations, kept or recomputed
    size_t scratch = 0;
    size_t activations() const { return attention + ffn + residual; }
    size_t total() const { return weights + gradients + activations() + scratch; }
};

// Inference keeps nothing for backward and has no gradients. Inspection is inference that can be looked at: it has the
// sums of probes and routers, the maps of attention, and the scratch that probes share with backward.
enum class Mode { training, inference, inspection };
inline constexpr int64_t kMapTokens = 256;  // of a map of attention, at most

template <class B>
struct ModelActs {
    using T = typename B::T;
    using A = typename B::A;

    int32_t *tokens = nullptr, *targets = nullptr, *doc_start = nullptr;  // (tokens): the batch's
    int32_t* order = nullptr;                                             // (tokens): see embedding_backward
    int32_t* uploads = nullptr;                                           // (kBatches, 4, tokens): such arrays to come
    A *cos = nullptr, *sin = nullptr;                                     // (length, head_dim / 2)
    T* embedded = nullptr;                                                // (rows, hidden)
    std::vector<typename Block<B>::Acts> blocks;
    T* final_normed = nullptr;                   // (rows, hidden)
    A *final_rstd = nullptr, *losses = nullptr;  // (rows), (tokens)
    double* sums = nullptr;                      // (3): loss and gradient_squares of StepTotals; the loss of forward()
    double* probes = nullptr;                    // sums of passes that are looked at, as numbers_of() has them
    A* maps = nullptr;                           // (layers, tokens, tokens), see kMapTokens: in inspection
    RouterSums* router_sums = nullptr;           // (layers)
    int64_t *tokens_per_expert = nullptr, *global_tokens_per_expert = nullptr;  // (layers, experts)
};

template <class B>
struct ModelScratch {
    using T = typename B::T;

    T *gathered = nullptr, *partial = nullptr, *dpartial = nullptr;  // (tokens, hidden) with sequence parallelism
    T *dx = nullptr, *dfinal = nullptr;                              // (rows, hidden)
    T* logits = nullptr;                                             // (vocab)
    std::vector<typename Block<B>::Scratch> blocks;                  // all in the same memory: one runs at a time
    typename LmHead<B>::Scratch head;
};

// Binds every activation and scratch tensor to its memory, and adds up the bytes by kind. Called twice: with null
// regions, which only count, and with the arenas of these sizes.
//
// A branch that is recomputed before its backward is bound to r.recomputed, which rewinds at every layer: all layers
// use the same memory for it. In inference that holds for both branches, since no activation outlives its layer.
template <class B>
void bind_activations(Regions& r, ModelBytes& bytes, const ModelSpec& spec, const MeshCoord& coord,
                      const std::vector<Block<B>>& blocks, Batch largest, Recompute recompute, Mode mode,
                      ModelActs<B>& a, ModelScratch<B>& s);

// The bytes of a model without weights and gradients.
template <class B>
ModelBytes plan_activations(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode,
                            const MeshCoord& coord = {});

}  // namespace sluice
