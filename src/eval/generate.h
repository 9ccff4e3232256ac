// Text from a model, a token at a time.
#pragma once
#include <cstdio>
#include <vector>

#include "model/model.h"

namespace sluice {

struct Sampling {
    int64_t tokens = 64;
    double temperature = 0.7;  // 0: the likeliest token
    int64_t top_k = 40;        // 0: all
    uint64_t seed = 1;
    std::FILE* progress = nullptr;  // where a long text says how far it is; null: nowhere
};

// The tokens that follow `prompt` (not empty). The model sees the last `window` tokens. drawn: the ids that may be
// drawn, not empty: a model's vocabulary is often padded beyond its tokenizer's; those beyond the model's are passed
// over. Collective over the model's mesh; every rank gets the same tokens.
template <class B>
std::vector<int32_t> generate(Model<B>& model, std::vector<int32_t> prompt, int64_t window,
                              const std::vector<int32_t>& drawn, const Sampling& sampling);

}  // namespace sluice
