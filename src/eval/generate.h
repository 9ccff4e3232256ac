// Generates text from a model, one token at a time.
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
    std::FILE* progress = nullptr;  // where a long generation reports its progress; null: nowhere
};

// Returns the tokens that follow `prompt`, which must not be empty. The model sees the last `window` tokens. drawn: the
// ids that may be drawn, at least one of them in the model's vocabulary; others are ignored. (A model's vocabulary is
// often padded beyond its tokenizer's.) Collective over the model's mesh; every rank gets the same tokens.
template <class B>
std::vector<int32_t> generate(Model<B>& model, std::vector<int32_t> prompt, int64_t window,
                              const std::vector<int32_t>& drawn, const Sampling& sampling);

}  // namespace sluice
