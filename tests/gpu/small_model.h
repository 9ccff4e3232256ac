// Models that a row trains, and tokens that they can learn.
#pragma once
#include <string>
#include <vector>

#include "config/load.h"
#include "gpu/rows.h"
#include "train/step.h"

namespace sluice {

using Keys = std::vector<std::string>;

// Two layers of grouped heads with QK-norm. At real sizes lengths and heads are those that cuDNN's attention takes.
inline Config model_config(Sizes sizes, const Keys& more, int ranks = 1) {
    const bool real = sizes == Sizes::real;
    Keys keys{"data.train=[{path: none}]", "train.steps=20", "optimizer.lr=0.001", "model.layers=2"};
    for (const char* key : {"model.hidden=256", "model.heads=4", "model.kv_heads=2", "model.head_dim=64",
                            "model.vocab=512", "model.ffn.hidden=384", "data.sequence_length=256", "train.batch=8"})
        if (real) keys.push_back(key);
    for (const char* key : {"model.hidden=32", "model.heads=4", "model.kv_heads=2", "model.head_dim=8",
                            "model.vocab=32", "model.ffn.hidden=40", "data.sequence_length=12", "train.batch=4"})
        if (!real) keys.push_back(key);
    keys.insert(keys.end(), more.begin(), more.end());
    return load_config_text("", "gpu_check", keys, Purpose::plan, ranks).config;
}
inline const Keys kGated{"model.gates=[{position: sdpa, granularity: elementwise}]"};
// Learns slowly: where rounding changes a pick, the loss jumps.
inline Keys experts(Sizes sizes) {
    if (sizes == Sizes::small) return {"model.moe={experts: 4, top_k: 2, hidden: 24, shared_hidden: 16}"};
    return {"model.moe={experts: 8, top_k: 2, hidden: 128, shared_hidden: 64}", "optimizer.lr=0.0001"};
}
inline Keys joined(Keys a, const Keys& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

// Tokens in which each follows from the one before, but for every fifth; documents of seven tokens.
inline Samples samples_of(const Config& config) {
    return [length = config.data.sequence_length, vocab = config.model.vocab](int64_t n, int32_t* tokens,
                                                                              int32_t* doc_start) {
        int64_t token = n * 11 % vocab;
        for (int64_t t = 0; t <= length; t++) {
            tokens[t] = int32_t(token);
            token = t % 5 == 4 ? (n * 7 + t * 3) % vocab : (token * 3 + 1) % vocab;
            if (doc_start && t < length) doc_start[t] = int32_t(t / 7 * 7);
        }
    };
}

// `sequences` samples from the first on, as a pass reads them.
struct Tokens {
    Batch batch;
    std::vector<int32_t> tokens, targets;
};
inline Tokens tokens_of(const Config& config, int64_t sequences, int64_t first = 0) {
    Tokens t{{sequences, config.data.sequence_length}, {}, {}};
    std::vector<int32_t> sample(size_t(t.batch.length + 1));
    for (int64_t n = 0; n < sequences; n++) {
        samples_of(config)(first + n, sample.data(), nullptr);
        t.tokens.insert(t.tokens.end(), sample.begin(), sample.end() - 1);
        t.targets.insert(t.targets.end(), sample.begin() + 1, sample.end());
    }
    return t;
}

}  // namespace sluice
