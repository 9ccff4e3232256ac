#include "mixers/tokens.h"

#include <algorithm>
#include <cmath>

#include "layers/gate.h"

namespace sluice {

TokenMixing::TokenMixing(const ModelSpec& model, int64_t layer, const MeshCoord& coord)
    : whole_heads_(model.heads),
      heads_(model.heads / coord.tensor),
      kv_heads_(model.kv_heads / shard_by_head(model.kv_heads, coord).parts),
      dim_(model.head_dim),
      window_(model.attention.at(layer).window) {}

AttentionShape TokenMixing::shape(const Batch& batch) const {
    return {batch.sequences, batch.length, heads_, kv_heads_, dim_, window_, 1 / std::sqrt(double(dim_))};
}

void TokenMixing::add_scores(Cost& cost, const Workload& load) const {
    const double length = double(load.length);
    const double window = window_ > 0 ? std::min(double(window_), length) : length;
    const double keys = (window * length - window * window / 2) / length;  // mean per token
    cost.scores += 12 * double(whole_width()) * keys;
    cost.scores_full_square += 12 * double(whole_width()) * length;
}

}  // namespace sluice
