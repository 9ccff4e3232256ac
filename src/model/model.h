// The model: embedding, blocks, final norm, head. One page of contract: parameters, activations, forward, backward.
//
//     x0 = embedding[tokens];  x_mid = x + attention(x);  x' = x_mid + ffn(x_mid);  loss =
//     cross_entropy(head(norm(x_L)))
//
// On a mesh every rank has a Model with its slice of each tensor. Forward, backward and logits are collective over the
// tensor and expert groups. Memory comes from arenas through visitors; nothing is allocated after construction. It is
// the backend's: pointers that a function returns are for ops, and the host reads through totals() and logits().
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "config/specs.h"
#include "kernels/replay.h"
#include "model/activations.h"
#include "model/batch_upload.h"
#include "model/mesh_shape.h"
#include "parallel/mesh.h"

namespace sluice {

// X is T for weights, G for gradients.
template <class B, class X>
struct Params {
    // (vocab, hidden), (hidden), (vocab, hidden); head is the embedding when tied.
    X *embedding = nullptr, *final_norm = nullptr, *head = nullptr;
    std::vector<typename Block<B>::template ParamsOf<X>> blocks;
};

// What a step adds up in the backend's memory, for the host to read once.
struct StepTotals {
    double loss = 0;                  // of the tokens of all passes
    double gradient_squares = 0;      // the squared norm of this rank's gradients, which the trainer adds up
    std::vector<RouterSums> routers;  // (layers): this rank's parts of the means over tokens; empty without experts
    std::vector<int64_t> tokens_per_expert;  // (layers, experts): of this rank's tokens
    std::vector<LayerSums> probes;           // (layers), where passes were looked at
};

// Called during backward when the gradients of tensors [begin, end) of tensors() are complete on this rank.
using GradientsReady = std::function<void(size_t begin, size_t end)>;

template <class B>
class Model {
 public:
    using T = typename B::T;
    using A = typename B::A;
    using G = typename B::G;

    // Allocates for batches up to `largest`; shorter or fewer sequences run in the same memory.
    Model(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode, Mesh& mesh = solo_mesh(memory_of<B>()),
          MatmulPrecision matmul = MatmulPrecision::full);

    // Every parameter in the order of the flat arrays, with the slice that the rank at `coord` holds.
    static std::vector<TensorInfo> tensors(const ModelSpec& spec, const MeshCoord& coord = {});
    static ModelBytes plan(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode,
                           const MeshCoord& coord = {});

    const ModelSpec& spec() const { return spec_; }
    Mesh& mesh() const { return mesh_; }
    Stream stream() const { return stream_.get(); }
    const std::vector<TensorInfo>& tensors() const { return tensors_; }
    // All weights and all gradients as flat arrays, laid out as tensors() says; padding is zero. In the backend's
    // memory. What is not trained has an array of its own.
    T* weights() const { return reinterpret_cast<T*>(weight_arena_.data()); }
    G* gradients() const { return reinterpret_cast<G*>(gradient_arena_.data()); }
    A* untrained() const { return reinterpret_cast<A*>(untrained_arena_.data()); }
    int64_t parameters() const { return parameters_; }  // elements of weights() and gradients(), padding included
    ModelBytes bytes() const;
    // How attention of the largest batches is made, of all layers, as prepare_attention says; empty on a CPU.
    const std::string& attention() const { return attention_; }

    // Fills the weights by TensorInfo::init. Normal values depend only on the seed, the tensor's name and the element's
    // index in the whole tensor, so that every mesh starts from the same weights.
    void initialise(int64_t seed);
    // Sets what this rank holds of a tensor from values (count) on the host, rounded to nearest even.
    void set(const TensorInfo& tensor, const A* values);

    // Below: tokens, targets (sequences, length), and doc_start as in attention_forward, or null. All are on the host,
    // and are read before the call returns.
    //
    // Forward up to the final norm, for logits().
    void hidden_states(Batch batch, const int32_t* tokens, const int32_t* doc_start);
    // Returns the sum of the tokens' losses. The host waits for it.
    double forward(Batch batch, const int32_t* tokens, const int32_t* targets, const int32_t* doc_start);
    // Adds the sum of the tokens' losses to the totals, and to gradients() the gradient of scale * sum, and of the
    // routers' losses on these tokens. Where ShardSpec::gradient says so, it is still this rank's partial sum.
    // replay: of calls of this batch, scale and `ready`; it must be null while passes are looked at, with experts on
    // several ranks, and where the mesh's groups do not only queue.
    void forward_backward(Batch batch, const int32_t* tokens, const int32_t* targets, const int32_t* doc_start,
                          double scale, const GradientsReady& ready = {}, Replay<B>* replay = nullptr);

    // logits (vocab) on the host, of all ranks' ids, after the token at `row` of the last pass. The host waits for
    // them.
    void logits(T* logits, int64_t row);

    // The totals since reset_totals(). The host waits for them.
    const StepTotals& totals();
    // look: adds up probes of the passes that follow, which change nothing. sdpa_factors (layers): what `before` of
    // LayerSums is multiplied by; null: 1.
    void reset_totals(bool look = false, const double* sdpa_factors = nullptr);
    // In Mode::inspection: the attention of the first pass since reset_totals(true), (layers, tokens, tokens), of its
    // first sequence's first tokens, kMapTokens at most; a row is a query. Weights are summed over this rank's heads; a
    // layer whose attention is not softmax's has any. The host waits for them.
    std::vector<A> attention_maps();
    const std::vector<Routing>& routing() const { return routing_; }  // (layers), in the backend's memory
    double* gradient_squares() const { return acts_.sums + 1; }       // (1), in the backend's memory
    // For comparing passes: what the last forward left, until a backward overwrites it, and who lists its tensors.
    const ModelActs<B>& activations() const { return acts_; }
    const std::vector<Block<B>>& blocks() const { return blocks_; }
    // Moves the selection biases by `rate` towards balance: up for experts with fewer tokens than the mean, down for
    // those with more. tokens_per_expert (layers, experts) on the host: sums over all ranks.
    void update_router_biases(const int64_t* tokens_per_expert, double rate);

 private:
    template <class V, class X>
    static void params(V&& v, const ModelSpec& spec, const MeshCoord& coord, const std::vector<Block<B>>& blocks,
                       Params<B, X>& p);

    // Copies a batch in, where targets and doc_start may be null, and returns the pass over it.
    Pass<B> pass(Batch batch, const int32_t* tokens, const int32_t* targets, const int32_t* doc_start, double scale);
    Pass<B> pass_over(Batch batch, bool documents, double scale);
    void map_first_pass(Batch batch);
    void run_blocks(const Pass<B>& pass);
    void forward_backward(const Pass<B>& pass, const GradientsReady& ready);
    NextNorm<B> norm_after(size_t layer) const;
    void backward_blocks(const Pass<B>& pass, const GradientsReady& ready);
    void recompute(const Pass<B>& pass, size_t layer, const T* x);

    ModelSpec spec_;
    Mesh& mesh_;
    Memory& memory_;
    StreamOwner<B> stream_;
    Batch largest_, last_;
    Recompute recompute_;
    std::vector<Block<B>> blocks_;
    LmHead<B> lm_head_;
    std::vector<TensorInfo> tensors_;
    std::vector<size_t> first_tensor_;  // index in tensors_: of each block's first tensor, and one past the last block
    int64_t parameters_ = 0;
    Arena weight_arena_, gradient_arena_, untrained_arena_, kept_arena_, recomputed_arena_, scratch_arena_;
    ModelBytes bytes_;
    std::string attention_;
    Params<B, T> weights_;
    Params<B, G> gradients_;
    ModelActs<B> acts_;
    ModelScratch<B> scratch_;
    BatchUpload<B> upload_;
    std::vector<Routing> routing_;       // (layers) in models with experts
    std::vector<LayerProbe<B>> probes_;  // (layers) where passes can be looked at
    std::vector<LayerSums> no_sums_;     // (layers): before anything is added
    StepTotals totals_;
    std::vector<int32_t> order_;       // (tokens): of the last pass, see embedding_backward
    std::vector<int64_t> row_counts_;  // rows of the last pass, by rank of mesh.sequence
    bool look_ = false;
    int64_t mapped_ = 0;  // tokens that attention_maps() has
};

}  // namespace sluice
