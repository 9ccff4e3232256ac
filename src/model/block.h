// A block: the branch of attention, then that of the feed-forward.
#pragma once
#include <string>
#include <vector>

#include "model/branch.h"

namespace sluice {

template <class B>
struct Block {
    using AttentionBranch = ResidualBranch<B, Attention<B>>;
    using FfnBranch = ResidualBranch<B, Ffn<B>>;
    AttentionBranch attention;
    FfnBranch ffn;

    Block(const ModelSpec& model, int64_t layer, const MeshCoord& coord)
        : attention(model, Attention<B>(model, layer, coord), coord), ffn(model, Ffn<B>(model, layer, coord), coord) {}

    template <class X>
    struct ParamsOf {
        typename AttentionBranch::template ParamsOf<X> attention;
        typename FfnBranch::template ParamsOf<X> ffn;
    };
    template <class V, class X>
    void params(V&& v, ParamsOf<X>& p, const std::string& prefix) const {
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
std::vector<Block<B>> make_blocks(const ModelSpec& spec, const MeshCoord& coord) {
    std::vector<Block<B>> blocks;
    for (int64_t l = 0; l < spec.layers; l++) blocks.emplace_back(spec, l, coord);
    return blocks;
}

}  // namespace sluice
