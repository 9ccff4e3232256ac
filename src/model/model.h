// The model: embedding, blocks, final norm, head. One page of contract: parameters, activations, forward, backward.
//
//     x0 = embedding[tokens];  x_mid = x + attention(x);  x' = x_mid + ffn(x_mid);  loss =
//     cross_entropy(head(norm(x_L)))
//
// On a mesh every rank has a Model with its slice of each tensor. Forward, backward and logits are collective over the
// tensor and expert groups. Memory comes from arenas through visitors; nothing is allocated after construction.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/specs.h"
#include "layers/lm_head.h"
#include "model/branch.h"
#include "parallel/mesh.h"
#include "tensor/arena.h"

namespace sluice {

template <class B>
struct Block {
    using AttentionBranch = ResidualBranch<B, Attention<B>>;
    using FfnBranch = ResidualBranch<B, Ffn<B>>;
    AttentionBranch attention;
    FfnBranch ffn;

    Block(const ModelSpec& model, int64_t layer, const MeshCoord& coord)
        : attention(model, Attention<B>(model, layer, coord), coord), ffn(model, Ffn<B>(model, layer, coord), coord) {}

    struct Params {
        typename AttentionBranch::Params attention;
        typename FfnBranch::Params ffn;
    };
    template <class V>
    void params(V&& v, Params& p, const std::string& prefix) const {
        attention.params(v, p.attention, prefix, "attention");
        ffn.params(v, p.ffn, prefix, "ffn");
    }
    struct Acts {
        typename AttentionBranch::Acts attention;
        typename FfnBranch::Acts ffn;
        typename B::T *mid = nullptr, *out = nullptr;  // (rows, hidden): after attention, after the feed-forward
    };
    struct Scratch {
        typename AttentionBranch::Scratch attention;
        typename FfnBranch::Scratch ffn;
    };
};

template <class B>
struct Params {
    // (vocab, hidden), (hidden), (vocab, hidden); head is the embedding when tied.
    typename B::T *embedding = nullptr, *final_norm = nullptr, *head = nullptr;
    std::vector<typename Block<B>::Params> blocks;
};

// Bytes by kind, planned without memory; a Model allocates exactly these.
struct ModelBytes {
    size_t weights = 0, gradients = 0;
    size_t attention = 0, ffn = 0, residual = 0;  // activations, kept or recomputed
    size_t scratch = 0;
    size_t activations() const { return attention + ffn + residual; }
    size_t total() const { return weights + gradients + activations() + scratch; }
};

enum class Mode { training, inference };  // inference keeps nothing for backward and has no gradients

// Called during backward when the gradients of tensors [begin, end) of tensors() are complete on this rank.
using GradientsReady = std::function<void(size_t begin, size_t end)>;

// The group sizes of a config's mesh. With fewer key-value heads than tensor ranks, neighbouring ranks hold the same
// head.
MeshShape mesh_shape(const ModelSpec& spec, const ParallelSpec& parallel);

template <class B>
class Model {
 public:
    using T = typename B::T;
    using A = typename B::A;

    // Allocates for batches up to `largest`; shorter or fewer sequences run in the same memory.
    Model(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode, Mesh& mesh = solo_mesh(),
          MatmulPrecision matmul = MatmulPrecision::full);

    // Every parameter in the order of the flat arrays, with the slice that the rank at `coord` holds.
    static std::vector<TensorInfo> tensors(const ModelSpec& spec, const MeshCoord& coord = {});
    static ModelBytes plan(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode,
                           const MeshCoord& coord = {});
    // The same without weights and gradients.
    static ModelBytes plan_activations(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode,
                                       const MeshCoord& coord = {});

    const ModelSpec& spec() const { return spec_; }
    Mesh& mesh() const { return mesh_; }
    const std::vector<TensorInfo>& tensors() const { return tensors_; }
    // All weights and all gradients as flat arrays, laid out as tensors() says; padding is zero.
    T* weights() const { return reinterpret_cast<T*>(weight_arena_.data()); }
    T* gradients() const { return reinterpret_cast<T*>(gradient_arena_.data()); }
    int64_t parameters() const { return parameters_; }  // elements of the flat arrays, padding included
    ModelBytes bytes() const;

    // Fills the weights by TensorInfo::init. Normal values depend only on the seed, the tensor's name and the element's
    // index in the whole tensor, so that every mesh starts from the same weights.
    void initialise(int64_t seed);

    // Below: tokens, targets (sequences, length); doc_start as in attention_forward, or null.
    //
    // Forward up to the final norm, for logits().
    void hidden_states(Batch batch, const int32_t* tokens, const int32_t* doc_start);
    // Returns the sum of the tokens' losses; losses() has each of them until the next pass.
    double forward(Batch batch, const int32_t* tokens, const int32_t* targets, const int32_t* doc_start);
    // The same, and adds to gradients() the gradient of scale * sum, and of the routers' losses on these tokens. Where
    // ShardSpec::gradient says so, it is still this rank's partial sum.
    double forward_backward(Batch batch, const int32_t* tokens, const int32_t* targets, const int32_t* doc_start,
                            double scale, const GradientsReady& ready = {});
    const A* losses() const { return acts_.losses; }  // (tokens)

    // logits (vocab), of all ranks' ids, after the token at `row` of the last pass.
    void logits(T* logits, int64_t row);

    // Statistics of each layer's router since reset_routing(); empty without experts. The layers' tokens_per_expert are
    // one array (layers, experts).
    const std::vector<Routing>& routing() const { return routing_; }
    void reset_routing();
    // Moves the selection biases by `rate` towards balance: up for experts with fewer tokens than the mean, down for
    // those with more. tokens_per_expert (layers, experts): sums over all ranks.
    void update_router_biases(const int64_t* tokens_per_expert, double rate);

 private:
    struct Acts {
        A *cos = nullptr, *sin = nullptr;  // (length, head_dim / 2)
        T* embedded = nullptr;             // (rows, hidden)
        std::vector<typename Block<B>::Acts> blocks;
        T* final_normed = nullptr;                                                  // (rows, hidden)
        A *final_rstd = nullptr, *losses = nullptr;                                 // (rows), (tokens)
        int64_t *tokens_per_expert = nullptr, *global_tokens_per_expert = nullptr;  // (layers, experts)
    };
    struct Scratch {
        T *gathered = nullptr, *partial = nullptr, *dpartial = nullptr;  // (tokens, hidden) with sequence parallelism
        T *dx = nullptr, *dfinal = nullptr;                              // (rows, hidden)
        std::vector<typename Block<B>::Scratch> blocks;                  // all in the same memory: one runs at a time
        typename LmHead<B>::Scratch head;
    };

    template <class V>
    static void params(V&& v, const ModelSpec& spec, const MeshCoord& coord, const std::vector<Block<B>>& blocks,
                       Params<B>& p);
    static void bind(Regions& regions, ModelBytes& bytes, const ModelSpec& spec, const MeshCoord& coord,
                     const std::vector<Block<B>>& blocks, Batch largest, Recompute recompute, Mode mode, Acts& acts,
                     Scratch& scratch);
    static std::vector<Block<B>> make_blocks(const ModelSpec& spec, const MeshCoord& coord);

    Pass<B> pass(Batch batch, const int32_t* doc_start, double scale);
    void run_blocks(const Pass<B>& pass, const int32_t* tokens);
    NextNorm<B> norm_after(size_t layer) const;
    void backward_blocks(const Pass<B>& pass, const int32_t* tokens, const GradientsReady& ready);
    void recompute(const Pass<B>& pass, size_t layer, const T* x);
    double sum_of_losses(int64_t count) const;

    ModelSpec spec_;
    Mesh& mesh_;
    const MatmulPrecision matmul_;
    Batch largest_, last_;
    Recompute recompute_;
    std::vector<Block<B>> blocks_;
    LmHead<B> lm_head_;
    std::vector<TensorInfo> tensors_;
    std::vector<size_t> first_tensor_;  // index in tensors_: of each block's first tensor, and one past the last block
    int64_t parameters_ = 0;
    Arena weight_arena_, gradient_arena_, kept_arena_, recomputed_arena_, scratch_arena_;
    ModelBytes bytes_;
    Params<B> weights_, gradients_;
    Acts acts_;
    Scratch scratch_;
    std::vector<Routing> routing_;
    std::vector<int64_t> row_counts_;  // rows of the last pass, by rank of mesh.sequence
};

}  // namespace sluice
