// A small model for the emulator to train, and tokens that it can learn.
#pragma once
#include <string>
#include <vector>

#include "config/load.h"
#include "kernels/memory.h"
#include "train/step.h"

namespace sluice {

inline Config small_config(const std::vector<std::string>& keys) {
    std::vector<std::string> overrides{"model.layers=2",          "model.hidden=32",
                                       "model.heads=4",           "model.kv_heads=2",
                                       "model.head_dim=8",        "model.vocab=29",
                                       "model.ffn.hidden=40",     "model.gates=[]",
                                       "data.sequence_length=12", "data.train=[{path: none}]",
                                       "train.batch=4",           "train.micro_batch=2",
                                       "train.steps=20",          "optimizer.lr=0.001"};
    overrides.insert(overrides.end(), keys.begin(), keys.end());
    return load_config_text("", "test", overrides, Purpose::plan).config;
}

// Tokens in which each follows from the one before, but for every fifth; documents of seven tokens.
inline void small_samples(int64_t n, int32_t* tokens, int32_t* doc_start) {
    constexpr int64_t kLength = 12, kVocab = 29;
    int64_t token = n * 11 % kVocab;
    for (int64_t t = 0; t <= kLength; t++) {
        tokens[t] = int32_t(token);
        token = t % 5 == 4 ? (n * 7 + t * 3) % kVocab : (token * 3 + 1) % kVocab;
        if (doc_start && t < kLength) doc_start[t] = int32_t(t / 7 * 7);
    }
}

}  // namespace sluice
