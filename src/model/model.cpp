#include "model/model.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "kernels/memory.h"
#include "layers/rope.h"
#include "model/initial_values.h"

namespace sluice {

// ---------------------------------------------------------------- parameters
template <class B>
template <class V, class X>
void Model<B>::params(V&& v, const ModelSpec& spec, const MeshCoord& coord, const std::vector<Block<B>>& blocks,
                      Params<B, X>& p) {
    const Init init{Init::normal, spec.init_std};
    const ShardSpec by_id = ShardSpec::split(0, coord.tensor);
    v("embedding.weight", p.embedding, {spec.vocab, spec.hidden}, init, Role::plain, by_id);
    p.blocks.resize(blocks.size());
    for (size_t l = 0; l < blocks.size(); l++) blocks[l].params(v, p.blocks[l], "layers." + std::to_string(l) + ".");
    ShardSpec norm;
    norm.gradient = coord.sequence ? ShardSpec::over_tensor : ShardSpec::whole;
    v("final_norm.weight", p.final_norm, {spec.hidden}, Init{Init::one}, Role::plain, norm);
    if (spec.tie_embeddings)
        p.head = p.embedding;
    else
        v("head.weight", p.head, {spec.vocab, spec.hidden}, init, Role::rows, by_id);
}

template <class B>
std::vector<TensorInfo> Model<B>::tensors(const ModelSpec& spec, const MeshCoord& coord) {
    TensorLister lister(coord);
    Params<B, T> unbound;
    params(lister, spec, coord, make_blocks<B>(spec, coord), unbound);
    return lister.tensors;
}

// ---------------------------------------------------------------- memory
template <class B>
ModelBytes Model<B>::plan(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode,
                          const MeshCoord& coord) {
    TensorLister lister(coord);
    Params<B, T> unbound;
    params(lister, spec, coord, make_blocks<B>(spec, coord), unbound);
    ModelBytes bytes = plan_activations<B>(spec, largest, recompute, mode, coord);
    bytes.weights = size_t(lister.end()) * sizeof(T) + size_t(lister.untrained_end()) * sizeof(A);
    bytes.gradients = mode == Mode::training ? size_t(lister.end()) * sizeof(G) : 0;
    return bytes;
}

template <class B>
Model<B>::Model(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode, Mesh& mesh,
                MatmulPrecision matmul)
    : spec_(spec),
      mesh_(mesh),
      memory_(memory_of<B>()),
      stream_(matmul),
      largest_(largest),
      recompute_(recompute),
      blocks_(make_blocks<B>(spec, mesh.coord)),
      lm_head_(spec, mesh.coord) {
    TensorLister lister(mesh.coord);
    params(lister, spec, mesh.coord, blocks_, weights_);
    tensors_ = std::move(lister.tensors);
    parameters_ = lister.end();
    first_tensor_.push_back(1);  // after the embedding
    for (const Block<B>& block : blocks_) {
        TensorLister block_lister(mesh.coord);
        typename Block<B>::template ParamsOf<T> unbound;
        block.params(block_lister, unbound, "");
        first_tensor_.push_back(first_tensor_.back() + block_lister.tensors.size());
    }

    Regions counted;  // a dry run: the sizes of the arenas
    bind_activations(counted, bytes_, spec, mesh.coord, blocks_, largest, recompute, mode, acts_, scratch_);
    weight_arena_ = Arena("weights", size_t(parameters_) * sizeof(T), memory_);
    untrained_arena_ = Arena("selection biases", size_t(lister.untrained_end()) * sizeof(A), memory_);
    kept_arena_ = Arena("activations", counted.kept.peak(), memory_);
    recomputed_arena_ = Arena("recomputed activations", counted.recomputed.peak(), memory_);
    scratch_arena_ = Arena("scratch", counted.scratch.peak(), memory_);

    Regions regions{Binder(kept_arena_.data()), Binder(recomputed_arena_.data()), Binder(scratch_arena_.data())};
    ModelBytes same_bytes;
    bind_activations(regions, same_bytes, spec, mesh.coord, blocks_, largest, recompute, mode, acts_, scratch_);
    params(TensorBinder<T, A>(weights(), untrained(), mesh.coord), spec, mesh.coord, blocks_, weights_);
    if (mode == Mode::training) {
        gradient_arena_ = Arena("gradients", size_t(parameters_) * sizeof(G), memory_);
        params(TensorBinder<G, A>(gradients(), nullptr, mesh.coord), spec, mesh.coord, blocks_, gradients_);
    }
    upload_.bind(acts_.uploads, largest.tokens());
    std::vector<A> cos(size_t(largest.length * spec.head_dim / 2)), sin(cos.size());
    rope_table(cos.data(), sin.data(), spec.rope, spec.head_dim, largest.length);
    memory_.to_device(stream(), acts_.cos, cos.data(), cos.size() * sizeof(A));
    memory_.to_device(stream(), acts_.sin, sin.data(), sin.size() * sizeof(A));
    std::set<std::string> told;
    for (const Block<B>& block : blocks_) {
        const std::string by = block.attention.prepare(stream(), largest, mode == Mode::training);
        if (!by.empty() && told.insert(by).second) attention_ += (attention_.empty() ? "" : "; ") + by;
    }
    row_counts_.resize(size_t(mesh.sequence->size()));
    no_sums_ = no_sums(spec, mesh.coord);
    if (acts_.probes) probes_ = probes_at<B>(acts_.probes, no_sums_);
    if (acts_.tokens_per_expert) {
        totals_.routers.resize(blocks_.size());
        totals_.tokens_per_expert.resize(blocks_.size() * size_t(spec.moe.experts));
        for (int64_t l = 0; l < spec.layers; l++)
            routing_.push_back({acts_.tokens_per_expert + l * spec.moe.experts,
                                acts_.global_tokens_per_expert + l * spec.moe.experts, acts_.router_sums + l});
    }
}

template <class B>
ModelBytes Model<B>::bytes() const {
    ModelBytes bytes = bytes_;  // attention and ffn as bound; the rest is what the arenas have
    bytes.weights = weight_arena_.bytes() + untrained_arena_.bytes();
    bytes.gradients = gradient_arena_.bytes();
    bytes.residual = kept_arena_.bytes() + recomputed_arena_.bytes() - bytes.attention - bytes.ffn;
    bytes.scratch = scratch_arena_.bytes();
    return bytes;
}

template <class B>
void Model<B>::initialise(int64_t seed) {
    int64_t largest = 0;
    for (const TensorInfo& t : tensors_) largest = std::max(largest, t.count);
    std::vector<A> values(static_cast<size_t>(largest));
    for (const TensorInfo& t : tensors_) {
        initial_values(values.data(), t, seed);
        set(t, values.data());
    }
}

template <class B>
void Model<B>::set(const TensorInfo& t, const A* values) {
    if (!t.trained()) {
        memory_.to_device(stream(), untrained() + t.offset, values, size_t(t.count) * sizeof(A));
    } else if constexpr (std::is_same_v<T, A>) {
        memory_.to_device(stream(), weights() + t.offset, values, size_t(t.count) * sizeof(A));
    } else {
        std::vector<T> rounded(size_t(t.count));
        std::transform(values, values + t.count, rounded.begin(), [](A x) { return T(x); });
        memory_.to_device(stream(), weights() + t.offset, rounded.data(), size_t(t.count) * sizeof(T));
    }
}

// ---------------------------------------------------------------- totals of a step
template <class B>
void Model<B>::reset_totals(bool look, const double* sdpa_factors) {
    look_ = look;
    mapped_ = 0;
    if (look) {
        const std::vector<double> none = numbers_of(no_sums_);
        memory_.to_device(stream(), acts_.probes, none.data(), none.size() * sizeof(double));
    }
    for (size_t l = 0; l < probes_.size(); l++) probes_[l].sdpa_factor = sdpa_factors ? sdpa_factors[l] : 1;
    const int64_t layers = int64_t(routing_.size()), counts = layers * spec_.moe.experts;
    zero<B>(stream(), acts_.sums, 2);
    zero<B>(stream(), acts_.router_sums, layers);
    zero<B>(stream(), acts_.tokens_per_expert, counts);
    zero<B>(stream(), acts_.global_tokens_per_expert, counts);
}

template <class B>
const StepTotals& Model<B>::totals() {
    double sums[2];
    auto& [loss, squares, routers, tokens_per_expert, probes] = totals_;
    std::vector<double> numbers;
    probes.clear();
    if (look_) {
        probes = no_sums_;
        numbers.resize(numbers_of(probes).size());
        memory_.to_host(stream(), numbers.data(), acts_.probes, numbers.size() * sizeof(double));
    }
    memory_.to_host(stream(), sums, acts_.sums, sizeof sums);
    memory_.to_host(stream(), routers.data(), acts_.router_sums, routers.size() * sizeof(RouterSums));
    memory_.to_host(stream(), tokens_per_expert.data(), acts_.tokens_per_expert,
                    tokens_per_expert.size() * sizeof(int64_t));
    memory_.wait(stream());
    mesh_.require();
    loss = sums[0];
    squares = sums[1];
    if (!look_) return totals_;
    set_numbers(probes, numbers);
    for (size_t l = 0; l < routers.size(); l++) {
        probes[l].router_entropy = routers[l].entropy;
        std::copy_n(tokens_per_expert.begin() + int64_t(l) * spec_.moe.experts, spec_.moe.experts,
                    probes[l].picks.begin());
    }
    return totals_;
}

template <class B>
std::vector<typename B::A> Model<B>::attention_maps() {
    std::vector<A> maps(size_t(spec_.layers * mapped_ * mapped_));
    memory_.to_host(stream(), maps.data(), acts_.maps, maps.size() * sizeof(A));
    memory_.wait(stream());
    return maps;
}
template <class B>
void Model<B>::map_first_pass(Batch batch) {
    const bool maps = acts_.maps && mapped_ == 0 && batch.sequences > 0;
    const int64_t tokens = maps ? std::min(kMapTokens, batch.length) : 0;
    for (size_t l = 0; l < probes_.size(); l++) {
        probes_[l].map = maps ? acts_.maps + int64_t(l) * tokens * tokens : nullptr;
        probes_[l].map_tokens = tokens;
    }
    mapped_ += tokens;
}

template <class B>
void Model<B>::update_router_biases(const int64_t* tokens_per_expert, double rate) {
    if (spec_.moe.balance != Balance::bias) return;
    const int64_t layers = int64_t(routing_.size()), experts = spec_.moe.experts;
    int64_t* counts = acts_.global_tokens_per_expert;  // which balance by biases does not use otherwise
    memory_.to_device(stream(), counts, tokens_per_expert, size_t(layers * experts) * sizeof(int64_t));
    for (int64_t l = 0; l < layers; l++)
        move_router_bias<B>(stream(), weights_.blocks[size_t(l)].ffn.layer.experts.bias, counts + l * experts, experts,
                            rate);
}

// ---------------------------------------------------------------- forward
template <class B>
Pass<B> Model<B>::pass(Batch batch, const int32_t* tokens, const int32_t* targets, const int32_t* doc_start,
                       double scale) {
    check(batch.length <= largest_.length && batch.tokens() <= largest_.tokens(), "a batch larger than was planned");
    const bool backward = scale != 0;
    if (backward) order_by_token(order_, tokens, batch.tokens());
    upload_.send(stream(),
                 {{{acts_.tokens, tokens},
                   {acts_.targets, targets},
                   {acts_.doc_start, doc_start},
                   {acts_.order, backward ? order_.data() : nullptr}}},
                 batch.tokens());
    last_ = batch;
    if (look_) map_first_pass(batch);
    return pass_over(batch, doc_start != nullptr, scale);
}

template <class B>
Pass<B> Model<B>::pass_over(Batch batch, bool documents, double scale) {
    Pass<B> pass;
    pass.stream = stream();
    pass.batch = batch;
    pass.rows = mesh_.coord.rows(batch.tokens()).size();
    pass.cos = acts_.cos;
    pass.sin = acts_.sin;
    pass.doc_start = documents ? acts_.doc_start : nullptr;
    pass.mesh = &mesh_;
    mesh_.stream = stream();
    for (size_t r = 0; r < row_counts_.size(); r++)
        row_counts_[r] = slice_of(batch.tokens(), int64_t(row_counts_.size()), int64_t(r)).size();
    pass.row_counts = row_counts_.data();
    pass.scale = scale;
    pass.routing = routing_.data();
    pass.probes = look_ ? probes_.data() : nullptr;
    pass.gathered = scratch_.gathered;
    pass.partial = scratch_.partial;
    pass.dpartial = scratch_.dpartial;
    return pass;
}

template <class B>
void Model<B>::run_blocks(const Pass<B>& pass) {
    const Slice& ids = lm_head_.ids();
    T* partial = pass.partial_buffer(pass.partial, acts_.embedded);
    embedding_forward<B>(pass.stream, partial, acts_.tokens, weights_.embedding, pass.tokens(), spec_.hidden, ids.begin,
                         ids.size());
    pass.reduce_partial(acts_.embedded, partial, spec_.hidden);  // partner: gather_sequence(dx)
    const T* x = acts_.embedded;
    blocks_[0].attention.norm(pass, weights_.blocks[0].attention, acts_.blocks[0].attention, x);
    for (size_t l = 0; l < blocks_.size(); l++) {
        const auto& [attention, ffn] = blocks_[l];
        const auto& w = weights_.blocks[l];
        auto& a = acts_.blocks[l];
        attention.forward(pass, w.attention, a.attention, scratch_.blocks[l].attention);
        if (pass.probes) attention.probe(pass, w.attention, a.attention, scratch_.blocks[l].attention, pass.probes[l]);
        attention.add_residual(pass, a.attention, a.mid, x, ffn.norm_of(w.ffn, a.ffn));
        ffn.forward(pass, w.ffn, a.ffn, scratch_.blocks[l].ffn);
        if (pass.probes) ffn.probe(pass, w.ffn, a.ffn, scratch_.blocks[l].ffn, pass.probes[l]);
        ffn.add_residual(pass, a.ffn, a.out, a.mid, norm_after(l));
        if (pass.probes) magnitude_sums<B>(pass.stream, pass.probes[l].residual, a.out, pass.rows, 1, spec_.hidden, 1);
        x = a.out;
    }
}

// The norm that reads block `layer`'s out: that of the next block's attention, or the final one.
template <class B>
NextNorm<B> Model<B>::norm_after(size_t layer) const {
    const size_t next = layer + 1;
    if (next == blocks_.size()) return {weights_.final_norm, acts_.final_normed, acts_.final_rstd};
    return blocks_[next].attention.norm_of(weights_.blocks[next].attention, acts_.blocks[next].attention);
}

template <class B>
void Model<B>::hidden_states(Batch batch, const int32_t* tokens, const int32_t* doc_start) {
    run_blocks(pass(batch, tokens, nullptr, doc_start, 0));
}

template <class B>
double Model<B>::forward(Batch batch, const int32_t* tokens, const int32_t* targets, const int32_t* doc_start) {
    const Pass<B> pass = this->pass(batch, tokens, targets, doc_start, 0);
    run_blocks(pass);
    lm_head_.forward(pass, weights_.head, scratch_.head, acts_.losses, acts_.final_normed, acts_.targets);
    double loss = 0, *sum = acts_.sums + 2;
    zero<B>(stream(), sum, 1);
    sum_of_losses<B>(stream(), sum, acts_.losses, batch.tokens());
    memory_.to_host(stream(), &loss, sum, sizeof loss);
    memory_.wait(stream());
    mesh_.require();
    return loss;
}

// ---------------------------------------------------------------- forward and backward
template <class B>
void Model<B>::forward_backward(Batch batch, const int32_t* tokens, const int32_t* targets, const int32_t* doc_start,
                                double scale, const GradientsReady& ready, Replay<B>* replay) {
    const Pass<B> pass = this->pass(batch, tokens, targets, doc_start, scale);
    if (!replay) return forward_backward(pass, ready);
    replay->run(stream(), [&] { forward_backward(pass, ready); });
}

template <class B>
void Model<B>::forward_backward(const Pass<B>& pass, const GradientsReady& ready) {
    run_blocks(pass);
    lm_head_.forward_backward(pass, weights_.head, gradients_.head, scratch_.head, acts_.losses, scratch_.dfinal,
                              acts_.final_normed, acts_.targets);
    sum_of_losses<B>(stream(), acts_.sums, acts_.losses, pass.tokens());
    backward_blocks(pass, ready);
}

template <class B>
void Model<B>::backward_blocks(const Pass<B>& pass, const GradientsReady& ready) {
    const auto report = [&](size_t begin, size_t end) {
        if (ready) ready(begin, end);
    };
    T* dx = scratch_.dx;
    rmsnorm_backward<B>(pass.stream, dx, gradients_.final_norm, scratch_.dfinal, acts_.blocks.back().out,
                        weights_.final_norm, acts_.final_rstd, pass.rows, spec_.hidden, Into::overwrite);
    report(first_tensor_.back(), tensors_.size());
    for (size_t l = blocks_.size(); l-- > 0;) {
        auto& a = acts_.blocks[l];
        const auto& w = weights_.blocks[l];
        auto& dw = gradients_.blocks[l];
        const T* x = l > 0 ? acts_.blocks[l - 1].out : acts_.embedded;
        if (l + 1 < blocks_.size()) recompute(pass, l, x);  // the last block's activations are still in memory
        blocks_[l].ffn.backward(pass, w.ffn, dw.ffn, a.ffn, scratch_.blocks[l].ffn, dx, a.mid);
        blocks_[l].attention.backward(pass, w.attention, dw.attention, a.attention, scratch_.blocks[l].attention, dx,
                                      x);
        report(first_tensor_[l], first_tensor_[l + 1]);
    }
    const Slice& ids = lm_head_.ids();
    const T* dembedded = pass.gather_sequence(pass.gathered, dx, spec_.hidden);
    embedding_backward<B>(pass.stream, gradients_.embedding, dembedded, acts_.tokens, acts_.order, pass.tokens(),
                          spec_.hidden, ids.begin, ids.size());
    report(0, first_tensor_[0]);
}

// The same calls as in run_blocks on the same inputs, and so the same bits.
template <class B>
void Model<B>::recompute(const Pass<B>& pass, size_t l, const T* x) {
    const auto& [attention, ffn] = blocks_[l];
    const auto& w = weights_.blocks[l];
    auto& a = acts_.blocks[l];
    if (recompute_ == Recompute::attention || recompute_ == Recompute::block) {
        attention.norm(pass, w.attention, a.attention, x);
        attention.forward(pass, w.attention, a.attention, scratch_.blocks[l].attention);
    }
    if (recompute_ == Recompute::block) attention.add_residual(pass, a.attention, a.mid, x, ffn.norm_of(w.ffn, a.ffn));
    if (recompute_ == Recompute::ffn) ffn.norm(pass, w.ffn, a.ffn, a.mid);
    if (recompute_ == Recompute::ffn || recompute_ == Recompute::block)
        ffn.forward(pass, w.ffn, a.ffn, scratch_.blocks[l].ffn);
}

template <class B>
void Model<B>::logits(T* logits, int64_t row) {
    const Pass<B> pass = pass_over(last_, false, 0);
    const T* x = pass.gather_sequence(pass.gathered, acts_.final_normed, spec_.hidden);
    const int64_t ranks = mesh_.tensor->size();
    std::vector<int64_t> counts;  // ids of each tensor rank
    for (int64_t r = 0; r < ranks; r++) counts.push_back(slice_of(spec_.vocab, ranks, r).size());
    const Slice& ids = lm_head_.ids();
    T* all = scratch_.logits;
    linear_forward<B>(stream(), all + ids.begin, x + row * spec_.hidden, weights_.head, 1, spec_.hidden, ids.size());
    mesh_.tensor->all_gather(all, static_cast<const T*>(all) + ids.begin, counts.data());
    memory_.to_host(stream(), logits, all, size_t(spec_.vocab) * sizeof(T));
    memory_.wait(stream());
}

#define INSTANTIATE(B) template class Model<B>;
SLUICE_BACKENDS(INSTANTIATE)
#define INSTANTIATE_PLAN(B)                                                                 \
    template std::vector<TensorInfo> Model<B>::tensors(const ModelSpec&, const MeshCoord&); \
    template ModelBytes Model<B>::plan(const ModelSpec&, Batch, Recompute, Mode, const MeshCoord&);
SLUICE_PLANNED(INSTANTIATE_PLAN)
#undef INSTANTIATE
#undef INSTANTIATE_PLAN

}  // namespace sluice
