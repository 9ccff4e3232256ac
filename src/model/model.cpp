#include "model/model.h"

#include "base/check.h"
#include "layers/rope.h"
#include "model/initial_values.h"

namespace sluice {

MeshShape mesh_shape(const ModelSpec& spec, const ParallelSpec& parallel) {
    return {parallel.tensor, parallel.expert, parallel.sequence, std::max<int64_t>(1, parallel.tensor / spec.kv_heads)};
}

// ---------------------------------------------------------------- parameters
template <class B>
std::vector<Block<B>> Model<B>::make_blocks(const ModelSpec& spec, const MeshCoord& coord) {
    std::vector<Block<B>> blocks;
    for (int64_t l = 0; l < spec.layers; l++) blocks.emplace_back(spec, l, coord);
    return blocks;
}

template <class B>
template <class V>
void Model<B>::params(V&& v, const ModelSpec& spec, const MeshCoord& coord, const std::vector<Block<B>>& blocks,
                      Params<B>& p) {
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
    Params<B> unbound;
    params(lister, spec, coord, make_blocks(spec, coord), unbound);
    return lister.tensors;
}

// ---------------------------------------------------------------- memory
// Binds every activation and scratch tensor to its memory, and adds up the bytes by kind. Called twice: with null
// regions, which only count, and with the arenas of these sizes.
//
// A branch that is recomputed before its backward is bound to r.recomputed, which rewinds at every layer: all layers
// use the same memory for it. In inference that holds for both branches, since no activation outlives its layer.
template <class B>
void Model<B>::bind(Regions& r, ModelBytes& bytes, const ModelSpec& spec, const MeshCoord& coord,
                    const std::vector<Block<B>>& blocks, Batch largest, Recompute recompute, Mode mode, Acts& a,
                    Scratch& s) {
    const int64_t tokens = largest.tokens(), rows = coord.max_rows(tokens), hidden = spec.hidden;
    const bool training = mode == Mode::training, all = !training || recompute == Recompute::block;
    r.kept("cos", a.cos, {largest.length, spec.head_dim / 2});
    r.kept("sin", a.sin, {largest.length, spec.head_dim / 2});
    r.kept("embedded", a.embedded, {rows, hidden});
    a.blocks.resize(blocks.size());
    size_t attention_recomputed = 0, ffn_recomputed = 0;  // bytes in r.recomputed: those of the largest layer
    for (size_t l = 0; l < blocks.size(); l++) {
        r.recomputed.rewind(0);
        // Binds a branch's activations and counts their bytes: kept ones add up over layers, recomputed ones do not.
        const auto bind_branch = [&](bool recomputed, auto acts, size_t& kept_bytes, size_t& recomputed_bytes) {
            Binder& binder = recomputed ? r.recomputed : r.kept;
            const size_t before = binder.used();
            acts(binder);
            (recomputed ? recomputed_bytes : kept_bytes) += binder.used() - before;
        };
        size_t attention = 0, ffn = 0;
        bind_branch(
            all || recompute == Recompute::attention,
            [&](Binder& b) { blocks[l].attention.acts(b, a.blocks[l].attention, tokens, rows); }, bytes.attention,
            attention);
        (all ? r.recomputed : r.kept)("mid", a.blocks[l].mid, {rows, hidden});
        bind_branch(
            all || recompute == Recompute::ffn,
            [&](Binder& b) { blocks[l].ffn.acts(b, a.blocks[l].ffn, tokens, rows); }, bytes.ffn, ffn);
        attention_recomputed = std::max(attention_recomputed, attention);
        ffn_recomputed = std::max(ffn_recomputed, ffn);
        if (training)
            r.kept("out", a.blocks[l].out, {rows, hidden});
        else
            a.blocks[l].out = a.embedded;  // the residual is updated in place
    }
    r.kept("final_normed", a.final_normed, {rows, hidden});
    r.kept("final_rstd", a.final_rstd, {rows});
    r.kept("losses", a.losses, {tokens});
    if (training && spec.moe.experts > 0) {
        r.kept("tokens_per_expert", a.tokens_per_expert, {spec.layers, spec.moe.experts});
        r.kept("global_tokens_per_expert", a.global_tokens_per_expert, {spec.layers, spec.moe.experts});
    }
    // bytes.attention and bytes.ffn are so far those in r.kept. What neither branch has is the residual's.
    const size_t kept = r.kept.peak() - bytes.attention - bytes.ffn;
    bytes.attention += attention_recomputed;
    bytes.ffn += ffn_recomputed;
    bytes.residual = kept + r.recomputed.peak() - attention_recomputed - ffn_recomputed;

    // Scratch: buffers of the whole pass, then the layers' and the head's, which all begin at `common`: no two of them
    // run at the same time.
    const int64_t gathered = coord.sequence && coord.tensor > 1 ? tokens : 0;
    r.scratch("gathered", s.gathered, {gathered, hidden});
    r.scratch("partial", s.partial, {gathered, hidden});
    if (training) r.scratch("dpartial", s.dpartial, {gathered, hidden});
    if (training) r.scratch("dx", s.dx, {rows, hidden});
    s.blocks.resize(blocks.size());
    const size_t common = r.scratch.used();
    for (size_t l = 0; l < s.blocks.size(); l++) {
        r.scratch.rewind(common);
        blocks[l].attention.scratch(r.scratch, s.blocks[l].attention, tokens, rows, training);
        r.scratch.rewind(common);
        blocks[l].ffn.scratch(r.scratch, s.blocks[l].ffn, tokens, rows, training);
    }
    r.scratch.rewind(common);
    if (training) r.scratch("dfinal", s.dfinal, {rows, hidden});
    LmHead<B>(spec, coord).scratch(r.scratch, s.head, tokens);
    bytes.scratch = r.scratch.peak();
}

template <class B>
ModelBytes Model<B>::plan_activations(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode,
                                      const MeshCoord& coord) {
    Regions regions;
    Acts acts;
    Scratch scratch;
    ModelBytes bytes;
    bind(regions, bytes, spec, coord, make_blocks(spec, coord), largest, recompute, mode, acts, scratch);
    return bytes;
}

template <class B>
ModelBytes Model<B>::plan(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode,
                          const MeshCoord& coord) {
    TensorLister lister(coord);
    Params<B> unbound;
    params(lister, spec, coord, make_blocks(spec, coord), unbound);
    ModelBytes bytes = plan_activations(spec, largest, recompute, mode, coord);
    bytes.weights = size_t(lister.end) * sizeof(T);
    bytes.gradients = mode == Mode::training ? bytes.weights : 0;
    return bytes;
}

template <class B>
Model<B>::Model(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode, Mesh& mesh,
                MatmulPrecision matmul)
    : spec_(spec),
      mesh_(mesh),
      matmul_(matmul),
      largest_(largest),
      recompute_(recompute),
      blocks_(make_blocks(spec, mesh.coord)),
      lm_head_(spec, mesh.coord) {
    TensorLister lister(mesh.coord);
    params(lister, spec, mesh.coord, blocks_, weights_);
    tensors_ = std::move(lister.tensors);
    parameters_ = lister.end;
    first_tensor_.push_back(1);  // after the embedding
    for (const Block<B>& block : blocks_) {
        TensorLister block_lister(mesh.coord);
        typename Block<B>::Params unbound;
        block.params(block_lister, unbound, "");
        first_tensor_.push_back(first_tensor_.back() + block_lister.tensors.size());
    }

    Regions counted;  // a dry run: the sizes of the arenas
    bind(counted, bytes_, spec, mesh.coord, blocks_, largest, recompute, mode, acts_, scratch_);
    weight_arena_ = Arena("weights", size_t(parameters_) * sizeof(T));
    kept_arena_ = Arena("activations", counted.kept.peak());
    recomputed_arena_ = Arena("recomputed activations", counted.recomputed.peak());
    scratch_arena_ = Arena("scratch", counted.scratch.peak());

    Regions regions{Binder(kept_arena_.data()), Binder(recomputed_arena_.data()), Binder(scratch_arena_.data())};
    ModelBytes same_bytes;
    bind(regions, same_bytes, spec, mesh.coord, blocks_, largest, recompute, mode, acts_, scratch_);
    params(TensorBinder<T>(weights(), mesh.coord), spec, mesh.coord, blocks_, weights_);
    if (mode == Mode::training) {
        gradient_arena_ = Arena("gradients", size_t(parameters_) * sizeof(T));
        params(TensorBinder<T>(gradients(), mesh.coord), spec, mesh.coord, blocks_, gradients_);
    }
    rope_table(acts_.cos, acts_.sin, spec.rope, spec.head_dim, largest.length);
    row_counts_.resize(size_t(mesh.sequence->size()));
    if (acts_.tokens_per_expert) {
        routing_.resize(blocks_.size());
        for (size_t l = 0; l < blocks_.size(); l++) {
            routing_[l].tokens_per_expert = acts_.tokens_per_expert + int64_t(l) * spec.moe.experts;
            routing_[l].global_tokens_per_expert = acts_.global_tokens_per_expert + int64_t(l) * spec.moe.experts;
        }
    }
}

template <class B>
ModelBytes Model<B>::bytes() const {
    ModelBytes bytes = bytes_;  // attention and ffn as bound; the rest is what the arenas have
    bytes.weights = weight_arena_.bytes();
    bytes.gradients = gradient_arena_.bytes();
    bytes.residual = kept_arena_.bytes() + recomputed_arena_.bytes() - bytes.attention - bytes.ffn;
    bytes.scratch = scratch_arena_.bytes();
    return bytes;
}

template <class B>
void Model<B>::initialise(int64_t seed) {
    for (const TensorInfo& t : tensors_) initial_values(weights() + t.offset, t, seed);
}

// ---------------------------------------------------------------- routing
template <class B>
void Model<B>::reset_routing() {
    for (Routing& r : routing_) {
        std::fill_n(r.tokens_per_expert, spec_.moe.experts, 0);
        std::fill_n(r.global_tokens_per_expert, spec_.moe.experts, 0);
        r.sums = {};
    }
}

template <class B>
void Model<B>::update_router_biases(const int64_t* tokens_per_expert, double rate) {
    const int64_t E = spec_.moe.experts;
    for (size_t l = 0; l < routing_.size(); l++) {
        T* bias = weights_.blocks[l].ffn.layer.experts.bias;
        if (!bias) continue;
        const int64_t* counts = tokens_per_expert + int64_t(l) * E;
        int64_t all = 0;
        for (int64_t e = 0; e < E; e++) all += counts[e];
        // The mean is all / E; compared without dividing.
        for (int64_t e = 0; e < E; e++) bias[e] += T(rate) * T(all > counts[e] * E ? 1 : all < counts[e] * E ? -1 : 0);
    }
}

// ---------------------------------------------------------------- forward
template <class B>
Pass<B> Model<B>::pass(Batch batch, const int32_t* doc_start, double scale) {
    check(batch.length <= largest_.length && batch.tokens() <= largest_.tokens(), "a batch larger than was planned");
    last_ = batch;
    Pass<B> pass;
    pass.stream.matmul = matmul_;
    pass.batch = batch;
    pass.rows = mesh_.coord.rows(batch.tokens()).size();
    pass.cos = acts_.cos;
    pass.sin = acts_.sin;
    pass.doc_start = doc_start;
    pass.mesh = &mesh_;
    for (size_t r = 0; r < row_counts_.size(); r++)
        row_counts_[r] = slice_of(batch.tokens(), int64_t(row_counts_.size()), int64_t(r)).size();
    pass.row_counts = row_counts_.data();
    pass.scale = scale;
    pass.routing = routing_.data();
    pass.gathered = scratch_.gathered;
    pass.partial = scratch_.partial;
    pass.dpartial = scratch_.dpartial;
    return pass;
}

template <class B>
void Model<B>::run_blocks(const Pass<B>& pass, const int32_t* tokens) {
    const Slice& ids = lm_head_.ids();
    T* partial = pass.partial_buffer(pass.partial, acts_.embedded);
    embedding_forward<B>(pass.stream, partial, tokens, weights_.embedding, pass.tokens(), spec_.hidden, ids.begin,
                         ids.size());
    pass.reduce_partial(acts_.embedded, partial, spec_.hidden);  // partner: gather_sequence(dx)
    const T* x = acts_.embedded;
    blocks_[0].attention.norm(pass, weights_.blocks[0].attention, acts_.blocks[0].attention, x);
    for (size_t l = 0; l < blocks_.size(); l++) {
        const auto& [attention, ffn] = blocks_[l];
        const auto& w = weights_.blocks[l];
        auto& a = acts_.blocks[l];
        attention.forward(pass, w.attention, a.attention, scratch_.blocks[l].attention);
        attention.add_residual(pass, a.attention, a.mid, x, ffn.norm_of(w.ffn, a.ffn));
        ffn.forward(pass, w.ffn, a.ffn, scratch_.blocks[l].ffn);
        ffn.add_residual(pass, a.ffn, a.out, a.mid, norm_after(l));
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
double Model<B>::sum_of_losses(int64_t count) const {
    double sum = 0;
    for (int64_t t = 0; t < count; t++) sum += double(acts_.losses[t]);
    return sum;
}

template <class B>
void Model<B>::hidden_states(Batch batch, const int32_t* tokens, const int32_t* doc_start) {
    run_blocks(pass(batch, doc_start, 0), tokens);
}

template <class B>
double Model<B>::forward(Batch batch, const int32_t* tokens, const int32_t* targets, const int32_t* doc_start) {
    const Pass<B> pass = this->pass(batch, doc_start, 0);
    run_blocks(pass, tokens);
    lm_head_.forward(pass, weights_.head, scratch_.head, acts_.losses, acts_.final_normed, targets);
    return sum_of_losses(batch.tokens());
}

// ---------------------------------------------------------------- forward and backward
template <class B>
double Model<B>::forward_backward(Batch batch, const int32_t* tokens, const int32_t* targets, const int32_t* doc_start,
                                  double scale, const GradientsReady& ready) {
    const Pass<B> pass = this->pass(batch, doc_start, scale);
    run_blocks(pass, tokens);
    lm_head_.forward_backward(pass, weights_.head, gradients_.head, scratch_.head, acts_.losses, scratch_.dfinal,
                              acts_.final_normed, targets);
    backward_blocks(pass, tokens, ready);
    return sum_of_losses(batch.tokens());
}

template <class B>
void Model<B>::backward_blocks(const Pass<B>& pass, const int32_t* tokens, const GradientsReady& ready) {
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
    embedding_backward<B>(pass.stream, gradients_.embedding, dembedded, tokens, pass.tokens(), spec_.hidden, ids.begin,
                          ids.size());
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
    const Pass<B> pass = this->pass(last_, nullptr, 0);
    const T* x = pass.gather_sequence(pass.gathered, acts_.final_normed, spec_.hidden);
    const int64_t ranks = mesh_.tensor->size();
    std::vector<int64_t> counts;  // ids of each tensor rank
    for (int64_t r = 0; r < ranks; r++) counts.push_back(slice_of(spec_.vocab, ranks, r).size());
    const Slice& ids = lm_head_.ids();
    linear_forward<B>({nullptr, matmul_}, logits + ids.begin, x + row * spec_.hidden, weights_.head, 1, spec_.hidden,
                      ids.size());
    mesh_.tensor->all_gather(logits, logits + ids.begin, counts.data());
}

#define INSTANTIATE(B) template class Model<B>;
SLUICE_BACKENDS(INSTANTIATE)
#undef INSTANTIATE
template ModelBytes Model<PlannedBf16>::plan_activations(const ModelSpec&, Batch, Recompute, Mode, const MeshCoord&);

}  // namespace sluice
