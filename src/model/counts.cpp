#include "model/counts.h"

#include <algorithm>

#include "model/model.h"

namespace sluice {

double used_share(const ModelSpec& spec, const TensorInfo& t) {
    return t.cut.experts ? double(spec.moe.top_k) / double(spec.moe.experts) : 1;
}

ParameterCounts count_parameters(const ModelSpec& spec) {
    ParameterCounts n;
    for (const TensorInfo& t : Model<PlannedFp32>::tensors(spec)) {
        if (!t.trained()) continue;
        n.total += t.count;
        n.active += t.cut.experts ? t.count / spec.moe.experts * spec.moe.top_k : t.count;
        if (t.name.find(".gates.") != std::string::npos) n.gates += t.count;
    }
    return n;
}

FlopsByPart flops_by_part(const ModelSpec& spec, int64_t length) {
    FlopsByPart f;
    if (spec.tie_embeddings) f.other_weights = 6 * double(spec.vocab) * double(spec.hidden);
    for (const TensorInfo& t : Model<PlannedFp32>::tensors(spec)) {
        if (t.decay != Decay::yes) continue;
        const bool layer = t.name.rfind("layers.", 0) == 0;
        const bool attention = t.name.find(".attention.") != std::string::npos;
        (t.cut.experts ? f.expert_weights
         : !layer      ? f.other_weights
         : attention   ? f.attention_weights
                       : f.ffn_weights) += 6 * double(t.count) * used_share(spec, t);
    }
    // Keys seen by a token, on average over the sequence.
    const double T = double(length);
    const double w = spec.attention.window > 0 ? std::min(double(spec.attention.window), T) : T;
    const double seen = (w * T - w * w / 2) / T, per_key = 12 * double(spec.layers * spec.heads * spec.head_dim);
    f.scores = per_key * seen;
    f.scores_full_square = per_key * T;
    return f;
}

double flops_per_token(const ModelSpec& spec, int64_t length) { return flops_by_part(spec, length).total(); }

}  // namespace sluice
