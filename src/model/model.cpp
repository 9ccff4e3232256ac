#include "model/model.h"

#include "base/check.h"
#include "base/rng.h"
#include "layers/rope.h"

namespace sluice {

// ---------------------------------------------------------------- what there is
template <class B>
std::vector<Block<B>> Model<B>::make_blocks(const ModelSpec& spec) {
    std::vector<Block<B>> blocks;
    for (int64_t l = 0; l < spec.layers; l++) blocks.emplace_back(spec, l);
    return blocks;
}

template <class B>
template <class V>
void Model<B>::params(V&& v, const ModelSpec& spec, const std::vector<Block<B>>& blocks, Params<B>& p) {
    const Init init{Init::normal, spec.init_std};
    v("embedding.weight", p.embedding, {spec.vocab, spec.hidden}, init, Decay::no);
    p.blocks.resize(blocks.size());
    for (size_t l = 0; l < blocks.size(); l++) {
        const std::string prefix = "layers." + std::to_string(l) + ".";
        blocks[l].attention.params(v, p.blocks[l].attention, prefix, "attention");
        blocks[l].ffn.params(v, p.blocks[l].ffn, prefix, "ffn");
    }
    v("final_norm.weight", p.final_norm, {spec.hidden}, Init{Init::one}, Decay::no);
    if (spec.tie_embeddings)
        p.head = p.embedding;
    else
        v("head.weight", p.head, {spec.vocab, spec.hidden}, init, Decay::yes);
}

template <class B>
std::vector<TensorInfo> Model<B>::tensors(const ModelSpec& spec) {
    TensorLister lister;
    Params<B> none;
    params(lister, spec, make_blocks(spec), none);
    return lister.tensors;
}

// ---------------------------------------------------------------- where it lives
// A branch that is computed again before its backward shares one place with the same branch of every other layer.
// Without a backward nothing needs to outlive its layer.
template <class B>
void Model<B>::bind(Regions& r, const ModelSpec& spec, const std::vector<Block<B>>& blocks, Batch largest,
                    Recompute recompute, Mode mode, Acts& a, Scratch& s) {
    const int64_t tokens = largest.tokens(), hidden = spec.hidden;
    const bool inference = mode == Mode::inference;
    const bool all = inference || recompute == Recompute::block;
    r.kept("cos", a.cos, {largest.length, spec.head_dim / 2});
    r.kept("sin", a.sin, {largest.length, spec.head_dim / 2});
    r.kept("embedded", a.embedded, {tokens, hidden});
    a.blocks.resize(blocks.size());
    for (size_t l = 0; l < blocks.size(); l++) {
        r.again.rewind(0);
        const auto place = [&](bool again) -> Binder& { return again ? r.again : r.kept; };
        blocks[l].attention.acts(place(all || recompute == Recompute::attention), a.blocks[l].attention, tokens);
        place(all)("mid", a.blocks[l].mid, {tokens, hidden});
        blocks[l].ffn.acts(place(all || recompute == Recompute::ffn), a.blocks[l].ffn, tokens);
        if (inference)
            a.blocks[l].out = a.embedded;  // in place
        else
            r.kept("out", a.blocks[l].out, {tokens, hidden});
    }
    r.kept("final_normed", a.final_normed, {tokens, hidden});
    r.kept("final_rstd", a.final_rstd, {tokens});
    r.kept("losses", a.losses, {tokens});

    // The head, an attention and an FFN never run their backward at the same time.
    if (!inference) {
        r.scratch("dx", s.dx, {tokens, hidden});
        s.blocks.resize(blocks.size());
    }
    const size_t common = r.scratch.used();
    for (size_t l = 0; l < s.blocks.size(); l++) {
        r.scratch.rewind(common);
        blocks[l].attention.scratch(r.scratch, s.blocks[l].attention, tokens);
        r.scratch.rewind(common);
        blocks[l].ffn.scratch(r.scratch, s.blocks[l].ffn, tokens);
    }
    r.scratch.rewind(common);
    if (!inference) r.scratch("dfinal", s.dfinal, {tokens, hidden});
    Head<B>(spec).scratch(r.scratch, s.head, tokens);
}

template <class B>
ModelBytes Model<B>::plan(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode) {
    TensorLister lister;
    Params<B> params_counted;
    const auto blocks = make_blocks(spec);
    params(lister, spec, blocks, params_counted);
    Regions regions;
    Acts acts;
    Scratch scratch;
    bind(regions, spec, blocks, largest, recompute, mode, acts, scratch);
    const size_t weights = size_t(lister.end) * sizeof(T);
    return {weights, mode == Mode::training ? weights : 0, regions.kept.peak() + regions.again.peak(),
            regions.scratch.peak()};
}

template <class B>
Model<B>::Model(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode)
    : spec_(spec), largest_(largest), recompute_(recompute), blocks_(make_blocks(spec)), head_(spec) {
    TensorLister lister;
    params(lister, spec, blocks_, weights_);
    tensors_ = std::move(lister.tensors);
    parameters_ = lister.end;

    Regions counted;
    bind(counted, spec, blocks_, largest, recompute, mode, acts_, scratch_);
    weight_arena_ = Arena("weights", size_t(parameters_) * sizeof(T));
    kept_arena_ = Arena("activations", counted.kept.peak());
    again_arena_ = Arena("recomputed activations", counted.again.peak());
    scratch_arena_ = Arena("scratch", counted.scratch.peak());

    Regions regions{Binder(kept_arena_.data()), Binder(again_arena_.data()), Binder(scratch_arena_.data())};
    bind(regions, spec, blocks_, largest, recompute, mode, acts_, scratch_);
    params(TensorBinder<T>(weights()), spec, blocks_, weights_);
    if (mode == Mode::training) {
        gradient_arena_ = Arena("gradients", size_t(parameters_) * sizeof(T));
        params(TensorBinder<T>(gradients()), spec, blocks_, gradients_);
    }
    rope_table(acts_.cos, acts_.sin, spec.rope, spec.head_dim, largest.length);
}

template <class B>
ModelBytes Model<B>::bytes() const {
    return {weight_arena_.bytes(), gradient_arena_.bytes(), kept_arena_.bytes() + again_arena_.bytes(),
            scratch_arena_.bytes()};
}

template <class B>
void Model<B>::initialise(int64_t seed) {
    for (const TensorInfo& t : tensors_) {
        T* w = weights() + t.offset;
        const uint64_t key = mix(uint64_t(seed), hash_name(t.name));
        for (int64_t i = 0; i < t.count; i++)  // rounded to float so that every type starts from the same values
            w[i] = t.init.kind == Init::one    ? T(1)
                   : t.init.kind == Init::zero ? T(0)
                                               : T(float(t.init.std * normal(key, uint64_t(i))));
    }
}

// ---------------------------------------------------------------- forward
template <class B>
Pass<B> Model<B>::pass(Batch batch, const int32_t* first) const {
    check(batch.length <= largest_.length && batch.tokens() <= largest_.tokens(), "a batch larger than was planned");
    return {{}, batch, acts_.cos, acts_.sin, first};
}

template <class B>
void Model<B>::run_blocks(const Pass<B>& pass, const int32_t* tokens) {
    const int64_t count = pass.batch.tokens();
    embedding_forward<B>(pass.stream, acts_.embedded, tokens, weights_.embedding, count, spec_.hidden);
    T* x = acts_.embedded;
    for (size_t l = 0; l < blocks_.size(); l++) {
        auto& a = acts_.blocks[l];
        blocks_[l].attention.forward(pass, weights_.blocks[l].attention, a.attention, a.mid, x);
        blocks_[l].ffn.forward(pass, weights_.blocks[l].ffn, a.ffn, a.out, a.mid);
        x = a.out;
    }
    rmsnorm_forward<B>(pass.stream, acts_.final_normed, acts_.final_rstd, x, weights_.final_norm, count, spec_.hidden,
                       spec_.norm_eps);
}

template <class B>
double Model<B>::sum_of_losses(int64_t count) const {
    double sum = 0;
    for (int64_t t = 0; t < count; t++) sum += double(acts_.losses[t]);
    return sum;
}

template <class B>
void Model<B>::encode(Batch batch, const int32_t* tokens, const int32_t* first) {
    run_blocks(pass(batch, first), tokens);
}

template <class B>
double Model<B>::forward(Batch batch, const int32_t* tokens, const int32_t* targets, const int32_t* first) {
    const Pass<B> pass = this->pass(batch, first);
    run_blocks(pass, tokens);
    head_.forward(pass, weights_.head, scratch_.head, acts_.losses, acts_.final_normed, targets);
    return sum_of_losses(batch.tokens());
}

// ---------------------------------------------------------------- forward and backward
template <class B>
double Model<B>::forward_backward(Batch batch, const int32_t* tokens, const int32_t* targets, const int32_t* first,
                                  double scale) {
    const Pass<B> pass = this->pass(batch, first);
    run_blocks(pass, tokens);
    head_.forward_backward(pass, weights_.head, gradients_.head, scratch_.head, acts_.losses, scratch_.dfinal,
                           acts_.final_normed, targets, scale);
    backward_blocks(pass, tokens);
    return sum_of_losses(batch.tokens());
}

template <class B>
void Model<B>::backward_blocks(const Pass<B>& pass, const int32_t* tokens) {
    const int64_t count = pass.batch.tokens();
    T* dx = scratch_.dx;
    rmsnorm_backward<B>(pass.stream, dx, gradients_.final_norm, scratch_.dfinal, acts_.blocks.back().out,
                        weights_.final_norm, acts_.final_rstd, count, spec_.hidden, Into::overwrite);
    for (size_t l = blocks_.size(); l-- > 0;) {
        auto& a = acts_.blocks[l];
        const auto& w = weights_.blocks[l];
        auto& dw = gradients_.blocks[l];
        const T* x = l > 0 ? acts_.blocks[l - 1].out : acts_.embedded;
        if (l + 1 < blocks_.size()) recompute(pass, l, x);  // the last block's activations are still there
        blocks_[l].ffn.backward(pass, w.ffn, dw.ffn, a.ffn, scratch_.blocks[l].ffn, dx, a.mid);
        blocks_[l].attention.backward(pass, w.attention, dw.attention, a.attention, scratch_.blocks[l].attention, dx,
                                      x);
    }
    embedding_backward<B>(pass.stream, gradients_.embedding, dx, tokens, count, spec_.hidden);
}

// The same calls as in run_blocks on the same inputs, so the same bits.
template <class B>
void Model<B>::recompute(const Pass<B>& pass, size_t l, const T* x) {
    auto& a = acts_.blocks[l];
    if (recompute_ == Recompute::attention || recompute_ == Recompute::block)
        blocks_[l].attention.forward(pass, weights_.blocks[l].attention, a.attention, a.mid, x);
    if (recompute_ == Recompute::ffn || recompute_ == Recompute::block)
        blocks_[l].ffn.forward(pass, weights_.blocks[l].ffn, a.ffn, a.out, a.mid);
}

template <class B>
void Model<B>::logits(T* logits, int64_t row) {
    linear_forward<B>({}, logits, acts_.final_normed + row * spec_.hidden, weights_.head, 1, spec_.hidden, spec_.vocab);
}

template class Model<Cpu<float>>;
template class Model<Cpu<double>>;

}  // namespace sluice
