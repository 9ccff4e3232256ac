// A small model for the emulator to train, on one rank or several, and tokens that it can learn.
#pragma once
#include <string>
#include <vector>

#include "config/load.h"
#include "kernels/memory.h"
#include "model/device_groups.h"
#include "train/step.h"

namespace sluice {

using Keys = std::vector<std::string>;
inline Keys joined(Keys a, const Keys& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

inline Config small_config(const Keys& keys) {
    const Keys defaults{"model.layers=2",          "model.hidden=32",
                        "model.heads=4",           "model.kv_heads=2",
                        "model.head_dim=8",        "model.vocab=29",
                        "model.ffn.hidden=40",     "model.gates=[]",
                        "data.sequence_length=12", "data.train=[{path: none}]",
                        "train.batch=4",           "train.micro_batch=2",
                        "train.steps=20",          "optimizer.lr=0.001"};
    return load_config_text("", "test", joined(defaults, keys), Purpose::plan).config;
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

// Calls body(trainer, comm) of each of so many ranks, which are threads.
template <class B, class F>
void train_on(int ranks, Config config, F body) {
    resolve_ranks(config, ranks);
    run_threads(ranks, [&](Comm& comm) {
        Mesh mesh(comm, mesh_shape(config.model, config.parallel), memory_of<B>(),
                  device_groups<B>(comm, config.parallel));
        Trainer<B> trainer(config, mesh);
        body(trainer, comm);
    });
}

}  // namespace sluice
