#include "model/model.h"

#include "base/check.h"
#include "base/rng.h"
#include "layers/rope.h"

namespace sluice {

MeshShape mesh_shape(const ModelSpec& spec, const ParallelSpec& parallel) {
    return {parallel.tensor, parallel.expert, parallel.sequence, std::max<int64_t>(1, parallel.tensor / spec.kv_heads)};
}

// ---------------------------------------------------------------- what there is
template <class B>
std::vector<Block<B>> Model<B>::make_blocks(const ModelSpec& spec, const Place& place) {
    std::vector<Block<B>> blocks;
    for (int64_t l = 0; l < spec.layers; l++) blocks.emplace_back(spec, l, place);
    return blocks;
}

template <class B>
template <class V>
void Model<B>::params(V&& v, const ModelSpec& spec, const Place& place, const std::vector<Block<B>>& blocks,
                      Params<B>& p) {
    const Init init{Init::normal, spec.init_std};
    const Cut ids{0, place.tensor};
    v("embedding.weight", p.embedding, {spec.vocab, spec.hidden}, init, Decay::no, ids);
    p.blocks.resize(blocks.size());
    for (size_t l = 0; l < blocks.size(); l++) blocks[l].params(v, p.blocks[l], "layers." + std::to_string(l) + ".");
    Cut rows;
    rows.gradient = place.sequence ? Cut::over_tensor : Cut::whole;
    v("final_norm.weight", p.final_norm, {spec.hidden}, Init{Init::one}, Decay::no, rows);
    if (spec.tie_embeddings)
        p.head = p.embedding;
    else
        v("head.weight", p.head, {spec.vocab, spec.hidden}, init, Decay::yes, ids);
}

template <class B>
std::vector<TensorInfo> Model<B>::tensors(const ModelSpec& spec, const Place& place) {
    TensorLister lister(place);
    Params<B> none;
    params(lister, spec, place, make_blocks(spec, place), none);
    return lister.tensors;
}

// ---------------------------------------------------------------- where it lives
// A branch that is computed again before its backward shares one place with the same branch of every other layer.
// Without a backward nothing needs to outlive its layer.
template <class B>
void Model<B>::bind(Regions& r, ModelBytes& bytes, const ModelSpec& spec, const Place& place,
                    const std::vector<Block<B>>& blocks, Batch largest, Recompute recompute, Mode mode, Acts& a,
                    Scratch& s) {
    const int64_t tokens = largest.tokens(), rows = place.most_rows(tokens), hidden = spec.hidden;
    const bool training = mode == Mode::training, all = !training || recompute == Recompute::block;
    r.kept("cos", a.cos, {largest.length, spec.head_dim / 2});
    r.kept("sin", a.sin, {largest.length, spec.head_dim / 2});
    r.kept("embedded", a.embedded, {rows, hidden});
    a.blocks.resize(blocks.size());
    size_t attention_again = 0, ffn_again = 0;
    for (size_t l = 0; l < blocks.size(); l++) {
        r.again.rewind(0);
        // Where a branch's activations go, and how many bytes that took there.
        const auto place_in = [&](bool again, auto bind_them, size_t& kept_bytes, size_t& again_bytes) {
            Binder& binder = again ? r.again : r.kept;
            const size_t before = binder.used();
            bind_them(binder);
            (again ? again_bytes : kept_bytes) += binder.used() - before;
        };
        size_t attention = 0, ffn = 0;
        place_in(
            all || recompute == Recompute::attention,
            [&](Binder& b) { blocks[l].attention.acts(b, a.blocks[l].attention, tokens, rows); }, bytes.attention,
            attention);
        (all ? r.again : r.kept)("mid", a.blocks[l].mid, {rows, hidden});
        place_in(
            all || recompute == Recompute::ffn,
            [&](Binder& b) { blocks[l].ffn.acts(b, a.blocks[l].ffn, tokens, rows); }, bytes.ffn, ffn);
        attention_again = std::max(attention_again, attention);
        ffn_again = std::max(ffn_again, ffn);
        if (training)
            r.kept("out", a.blocks[l].out, {rows, hidden});
        else
            a.blocks[l].out = a.embedded;  // in place
    }
    r.kept("final_normed", a.final_normed, {rows, hidden});
    r.kept("final_rstd", a.final_rstd, {rows});
    r.kept("losses", a.losses, {tokens});
    if (training && spec.moe.experts > 0) {
        r.kept("picks", a.picks, {spec.layers, spec.moe.experts});
        r.kept("seen", a.seen, {spec.layers, spec.moe.experts});
    }
    const size_t kept = r.kept.peak() - bytes.attention - bytes.ffn;
    bytes.attention += attention_again;
    bytes.ffn += ffn_again;
    bytes.residual = kept + r.again.peak() - attention_again - ffn_again;

    // The head, an attention and an FFN never run at the same time.
    const int64_t shared = place.sequence && place.tensor > 1 ? tokens : 0;
    r.scratch("entered", s.entered, {shared, hidden});
    r.scratch("partial", s.partial, {shared, hidden});
    if (training) r.scratch("dpartial", s.dpartial, {shared, hidden});
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
    Head<B>(spec, place).scratch(r.scratch, s.head, tokens);
    bytes.scratch = r.scratch.peak();
}

template <class B>
ModelBytes Model<B>::plan_activations(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode,
                                      const Place& place) {
    Regions regions;
    Acts acts;
    Scratch scratch;
    ModelBytes bytes;
    bind(regions, bytes, spec, place, make_blocks(spec, place), largest, recompute, mode, acts, scratch);
    return bytes;
}

template <class B>
ModelBytes Model<B>::plan(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode, const Place& place) {
    TensorLister lister(place);
    Params<B> params_counted;
    params(lister, spec, place, make_blocks(spec, place), params_counted);
    ModelBytes bytes = plan_activations(spec, largest, recompute, mode, place);
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
      blocks_(make_blocks(spec, mesh.place)),
      head_(spec, mesh.place) {
    TensorLister lister(mesh.place);
    params(lister, spec, mesh.place, blocks_, weights_);
    tensors_ = std::move(lister.tensors);
    parameters_ = lister.end;
    first_tensor_.push_back(1);  // after the embedding
    for (const Block<B>& block : blocks_) {
        TensorLister of_block(mesh.place);
        typename Block<B>::Params none;
        block.params(of_block, none, "");
        first_tensor_.push_back(first_tensor_.back() + of_block.tensors.size());
    }

    Regions counted;
    bind(counted, bytes_, spec, mesh.place, blocks_, largest, recompute, mode, acts_, scratch_);
    weight_arena_ = Arena("weights", size_t(parameters_) * sizeof(T));
    kept_arena_ = Arena("activations", counted.kept.peak());
    again_arena_ = Arena("recomputed activations", counted.again.peak());
    scratch_arena_ = Arena("scratch", counted.scratch.peak());

    Regions regions{Binder(kept_arena_.data()), Binder(again_arena_.data()), Binder(scratch_arena_.data())};
    ModelBytes again;
    bind(regions, again, spec, mesh.place, blocks_, largest, recompute, mode, acts_, scratch_);
    params(TensorBinder<T>(weights(), mesh.place), spec, mesh.place, blocks_, weights_);
    if (mode == Mode::training) {
        gradient_arena_ = Arena("gradients", size_t(parameters_) * sizeof(T));
        params(TensorBinder<T>(gradients(), mesh.place), spec, mesh.place, blocks_, gradients_);
    }
    rope_table(acts_.cos, acts_.sin, spec.rope, spec.head_dim, largest.length);
    row_counts_.resize(size_t(mesh.sequence->size()));
    if (acts_.picks) {
        routing_.resize(blocks_.size());
        for (size_t l = 0; l < blocks_.size(); l++) {
            routing_[l].picks = acts_.picks + int64_t(l) * spec.moe.experts;
            routing_[l].seen = acts_.seen + int64_t(l) * spec.moe.experts;
        }
    }
}

template <class B>
ModelBytes Model<B>::bytes() const {
    ModelBytes bytes = bytes_;  // of activations by kind, as bound
    bytes.weights = weight_arena_.bytes();
    bytes.gradients = gradient_arena_.bytes();
    bytes.residual = kept_arena_.bytes() + again_arena_.bytes() - bytes.attention - bytes.ffn;
    bytes.scratch = scratch_arena_.bytes();
    return bytes;
}

template <class B>
void Model<B>::initialise(int64_t seed) {
    for (const TensorInfo& t : tensors_) {
        T* w = weights() + t.offset;
        const uint64_t key = mix(uint64_t(seed), hash_name(t.name));
        const Box whole{std::vector<int64_t>(t.shape.size(), 0), t.shape};
        for_each_run(t.box, whole, t.box, [&](int64_t from, int64_t to, int64_t count) {
            for (int64_t i = 0; i < count; i++)  // rounded to float so that every type starts from the same values
                w[to + i] = t.init.kind == Init::one    ? T(1)
                            : t.init.kind == Init::zero ? T(0)
                                                        : T(float(t.init.std * normal(key, uint64_t(from + i))));
        });
    }
}

// ---------------------------------------------------------------- routing
template <class B>
void Model<B>::begin_routing() {
    for (Routing& r : routing_) {
        std::fill_n(r.picks, spec_.moe.experts, 0);
        std::fill_n(r.seen, spec_.moe.experts, 0);
        r.sums = {};
    }
}

template <class B>
void Model<B>::move_biases(const int64_t* picks, double rate) {
    const int64_t E = spec_.moe.experts;
    for (size_t l = 0; l < routing_.size(); l++) {
        T* bias = weights_.blocks[l].ffn.layer.experts.bias;
        if (!bias) continue;
        const int64_t* n = picks + int64_t(l) * E;
        int64_t all = 0;
        for (int64_t e = 0; e < E; e++) all += n[e];
        for (int64_t e = 0; e < E; e++) bias[e] += T(rate) * T(all > n[e] * E ? 1 : all < n[e] * E ? -1 : 0);
    }
}

// ---------------------------------------------------------------- forward
template <class B>
Pass<B> Model<B>::pass(Batch batch, const int32_t* first, double scale) {
    check(batch.length <= largest_.length && batch.tokens() <= largest_.tokens(), "a batch larger than was planned");
    last_ = batch;
    Pass<B> pass;
    pass.stream.matmul = matmul_;
    pass.batch = batch;
    pass.rows = mesh_.place.rows(batch.tokens()).size();
    pass.cos = acts_.cos;
    pass.sin = acts_.sin;
    pass.first = first;
    pass.mesh = &mesh_;
    for (size_t r = 0; r < row_counts_.size(); r++)
        row_counts_[r] = part_of(batch.tokens(), int64_t(row_counts_.size()), int64_t(r)).size();
    pass.row_counts = row_counts_.data();
    pass.scale = scale;
    pass.routing = routing_.data();
    pass.entered = scratch_.entered;
    pass.partial = scratch_.partial;
    pass.dpartial = scratch_.dpartial;
    return pass;
}

template <class B>
void Model<B>::run_blocks(const Pass<B>& pass, const int32_t* tokens) {
    const Part& ids = head_.ids();
    T* partial = pass.before_leave(pass.partial, acts_.embedded);
    embedding_forward<B>(pass.stream, partial, tokens, weights_.embedding, pass.tokens(), spec_.hidden, ids.begin,
                         ids.size());
    pass.leave(acts_.embedded, partial, spec_.hidden);  // partner: enter(dx)
    const T* x = acts_.embedded;
    blocks_[0].attention.norm(pass, weights_.blocks[0].attention, acts_.blocks[0].attention, x);
    for (size_t l = 0; l < blocks_.size(); l++) {
        const auto& [attention, ffn] = blocks_[l];
        const auto& w = weights_.blocks[l];
        auto& a = acts_.blocks[l];
        attention.forward(pass, w.attention, a.attention, scratch_.blocks[l].attention);
        attention.join(pass, a.attention, a.mid, x, ffn.norm_of(w.ffn, a.ffn));
        ffn.forward(pass, w.ffn, a.ffn, scratch_.blocks[l].ffn);
        ffn.join(pass, a.ffn, a.out, a.mid, norm_after(l));
        x = a.out;
    }
}

// That of the next block's attention, or the final one.
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
void Model<B>::encode(Batch batch, const int32_t* tokens, const int32_t* first) {
    run_blocks(pass(batch, first, 0), tokens);
}

template <class B>
double Model<B>::forward(Batch batch, const int32_t* tokens, const int32_t* targets, const int32_t* first) {
    const Pass<B> pass = this->pass(batch, first, 0);
    run_blocks(pass, tokens);
    head_.forward(pass, weights_.head, scratch_.head, acts_.losses, acts_.final_normed, targets);
    return sum_of_losses(batch.tokens());
}

// ---------------------------------------------------------------- forward and backward
template <class B>
double Model<B>::forward_backward(Batch batch, const int32_t* tokens, const int32_t* targets, const int32_t* first,
                                  double scale, const GradientsReady& ready) {
    const Pass<B> pass = this->pass(batch, first, scale);
    run_blocks(pass, tokens);
    head_.forward_backward(pass, weights_.head, gradients_.head, scratch_.head, acts_.losses, scratch_.dfinal,
                           acts_.final_normed, targets);
    backward_blocks(pass, tokens, ready);
    return sum_of_losses(batch.tokens());
}

template <class B>
void Model<B>::backward_blocks(const Pass<B>& pass, const int32_t* tokens, const GradientsReady& ready) {
    const auto tell = [&](size_t begin, size_t end) {
        if (ready) ready(begin, end);
    };
    T* dx = scratch_.dx;
    rmsnorm_backward<B>(pass.stream, dx, gradients_.final_norm, scratch_.dfinal, acts_.blocks.back().out,
                        weights_.final_norm, acts_.final_rstd, pass.rows, spec_.hidden, Into::overwrite);
    tell(first_tensor_.back(), tensors_.size());
    for (size_t l = blocks_.size(); l-- > 0;) {
        auto& a = acts_.blocks[l];
        const auto& w = weights_.blocks[l];
        auto& dw = gradients_.blocks[l];
        const T* x = l > 0 ? acts_.blocks[l - 1].out : acts_.embedded;
        if (l + 1 < blocks_.size()) recompute(pass, l, x);  // the last block's activations are still there
        blocks_[l].ffn.backward(pass, w.ffn, dw.ffn, a.ffn, scratch_.blocks[l].ffn, dx, a.mid);
        blocks_[l].attention.backward(pass, w.attention, dw.attention, a.attention, scratch_.blocks[l].attention, dx,
                                      x);
        tell(first_tensor_[l], first_tensor_[l + 1]);
    }
    const Part& ids = head_.ids();
    const T* dembedded = pass.enter(pass.entered, dx, spec_.hidden);
    embedding_backward<B>(pass.stream, gradients_.embedding, dembedded, tokens, pass.tokens(), spec_.hidden, ids.begin,
                          ids.size());
    tell(0, first_tensor_[0]);
}

// The same as in run_blocks on the same inputs, so the same bits.
template <class B>
void Model<B>::recompute(const Pass<B>& pass, size_t l, const T* x) {
    const auto& [attention, ffn] = blocks_[l];
    const auto& w = weights_.blocks[l];
    auto& a = acts_.blocks[l];
    if (recompute_ == Recompute::attention || recompute_ == Recompute::block) {
        attention.norm(pass, w.attention, a.attention, x);
        attention.forward(pass, w.attention, a.attention, scratch_.blocks[l].attention);
    }
    if (recompute_ == Recompute::block) attention.join(pass, a.attention, a.mid, x, ffn.norm_of(w.ffn, a.ffn));
    if (recompute_ == Recompute::ffn) ffn.norm(pass, w.ffn, a.ffn, a.mid);
    if (recompute_ == Recompute::ffn || recompute_ == Recompute::block)
        ffn.forward(pass, w.ffn, a.ffn, scratch_.blocks[l].ffn);
}

template <class B>
void Model<B>::logits(T* logits, int64_t row) {
    const Pass<B> pass = this->pass(last_, nullptr, 0);
    const T* x = pass.enter(pass.entered, acts_.final_normed, spec_.hidden);
    const int64_t parts = mesh_.tensor->size();
    std::vector<int64_t> counts;
    for (int64_t p = 0; p < parts; p++) counts.push_back(part_of(spec_.vocab, parts, p).size());
    const Part& ids = head_.ids();
    linear_forward<B>({nullptr, matmul_}, logits + ids.begin, x + row * spec_.hidden, weights_.head, 1, spec_.hidden,
                      ids.size());
    mesh_.tensor->all_gather(logits, logits + ids.begin, counts.data());
}

#define INSTANTIATE(B) template class Model<B>;
SLUICE_BACKENDS(INSTANTIATE)
template ModelBytes Model<PlannedBf16>::plan_activations(const ModelSpec&, Batch, Recompute, Mode, const Place&);

}  // namespace sluice
