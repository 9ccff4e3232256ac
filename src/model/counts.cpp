#include "model/counts.h"

#include <algorithm>

#include "model/model.h"

namespace sluice {

double used_share(const ModelSpec& spec, const TensorInfo& t) {
    return t.cut.experts ? double(spec.moe.top_k) / double(spec.moe.experts) : 1;
}

ParameterCounts count_parameters(const ModelSpec& spec) {
    ParameterCounts n;
    for (const TensorInfo& t : Model<Cpu<float>>::tensors(spec)) {
        if (!t.trained()) continue;
        n.total += t.count;
        n.active += t.cut.experts ? t.count / spec.moe.experts * spec.moe.top_k : t.count;
        if (t.name.find(".gates.") != std::string::npos) n.gates += t.count;
    }
    return n;
}

namespace {

// With as many keys seen by a token, on average.
double flops_with_keys(const ModelSpec& spec, double keys) {
    double matrix_weights = spec.tie_embeddings ? double(spec.vocab) * double(spec.hidden) : 0;
    for (const TensorInfo& t : Model<Cpu<float>>::tensors(spec))
        if (t.decay == Decay::yes) matrix_weights += double(t.count) * used_share(spec, t);
    return 6 * matrix_weights + 12 * double(spec.layers * spec.heads * spec.head_dim) * keys;
}

}  // namespace

double flops_per_token(const ModelSpec& spec, int64_t length) {
    const double T = double(length);
    const double w = spec.attention.window > 0 ? std::min(double(spec.attention.window), T) : T;
    return flops_with_keys(spec, (w * T - w * w / 2) / T);
}

double flops_per_token_full_square(const ModelSpec& spec, int64_t length) {
    return flops_with_keys(spec, double(length));
}

}  // namespace sluice
