#include "model/activations.h"

#include <algorithm>

namespace sluice {

template <class B>
void bind_activations(Regions& r, ModelBytes& bytes, const ModelSpec& spec, const MeshCoord& coord,
                      const std::vector<Block<B>>& blocks, Batch largest, Recompute recompute, Mode mode,
                      ModelActs<B>& a, ModelScratch<B>& s) {
    const int64_t tokens = largest.tokens(), rows = coord.max_rows(tokens), hidden = spec.hidden;
    const bool training = mode == Mode::training, looks = mode != Mode::inference;
    const bool all = !training || recompute == Recompute::block;
    r.kept("tokens", a.tokens, {tokens});
    r.kept("targets", a.targets, {tokens});
    r.kept("doc_start", a.doc_start, {tokens});
    if (training) r.kept("order", a.order, {tokens});
    if (B::kBatches > 0) r.kept("uploads", a.uploads, {B::kBatches, 4, tokens});
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
    r.kept("sums", a.sums, {3});
    if (looks) {
        std::vector<LayerSums> sums = no_sums(spec, coord);
        r.kept("probes", a.probes, {int64_t(numbers_of(sums).size())});
    }
    if (mode == Mode::inspection) {
        const int64_t mapped = std::min(kMapTokens, largest.length);
        r.kept("maps", a.maps, {spec.layers, mapped, mapped});
    }
    if (looks && spec.moe.experts > 0) {
        r.kept("router_sums", a.router_sums, {spec.layers});
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
    const ScratchUse use{largest, rows, looks, training};
    for (size_t l = 0; l < s.blocks.size(); l++) {
        r.scratch.rewind(common);
        blocks[l].attention.scratch(r.scratch, s.blocks[l].attention, use);
        r.scratch.rewind(common);
        blocks[l].ffn.scratch(r.scratch, s.blocks[l].ffn, use);
    }
    r.scratch.rewind(common);
    r.scratch("logits", s.logits, {spec.vocab});
    r.scratch.rewind(common);
    if (training) r.scratch("dfinal", s.dfinal, {rows, hidden});
    LmHead<B>(spec, coord).scratch(r.scratch, s.head, tokens);
    bytes.scratch = r.scratch.peak();
}

template <class B>
ModelBytes plan_activations(const ModelSpec& spec, Batch largest, Recompute recompute, Mode mode,
                            const MeshCoord& coord) {
    Regions regions;
    ModelActs<B> acts;
    ModelScratch<B> scratch;
    ModelBytes bytes;
    bind_activations(regions, bytes, spec, coord, make_blocks<B>(spec, coord), largest, recompute, mode, acts, scratch);
    return bytes;
}

#define INSTANTIATE(B)                                                                                  \
    template void bind_activations(Regions&, ModelBytes&, const ModelSpec&, const MeshCoord&,           \
                                   const std::vector<Block<B>>&, Batch, Recompute, Mode, ModelActs<B>&, \
                                   ModelScratch<B>&);
SLUICE_BACKENDS(INSTANTIATE)
#define INSTANTIATE_PLAN(B) \
    template ModelBytes plan_activations<B>(const ModelSpec&, Batch, Recompute, Mode, const MeshCoord&);
SLUICE_PLANNED(INSTANTIATE_PLAN)
#undef INSTANTIATE
#undef INSTANTIATE_PLAN

}  // namespace sluice
