// Small models for tests, and one batch of tokens for them.
#pragma once
#include "base/rng.h"
#include "config/load.h"
#include "model/model.h"
#include "support/oracle.h"

namespace sluice {

// The model of a config in YAML's flow style, over small defaults.
inline ModelSpec small_model(const std::string& keys) {
    std::vector<std::string> overrides{"model.layers=2",         "model.hidden=8", "model.heads=2",
                                       "model.head_dim=4",       "model.vocab=11", "model.ffn.hidden=6",
                                       "data.sequence_length=5", "train.batch=2"};
    for (size_t begin = 0; begin < keys.size();) {
        const size_t end = std::min(keys.find(';', begin), keys.size());
        overrides.push_back("model." + keys.substr(begin, end - begin));
        begin = end + 1;
    }
    return load_config_text("", "test", overrides, Purpose::plan).config.model;
}

struct TokenBatch {
    Batch shape;
    std::vector<int32_t> tokens, targets;
    TokenBatch(Batch batch, int64_t vocab) : shape(batch) {
        for (int64_t i = 0; i < batch.tokens(); i++) {
            tokens.push_back(int32_t((i * i * 7 + 3 * i + 1) % vocab));
            targets.push_back(int32_t((i * 5 + i * i) % vocab));
        }
    }
};

// What this rank holds of a tensor, trained or not.
template <class T>
T* values_of(const Model<Cpu<T>>& model, const TensorInfo& t) {
    return (t.trained() ? model.weights() : model.untrained()) + t.offset;
}

// Random weights of healthy size: every gradient well away from zero, nothing saturated.
template <class T>
void set_weights(Model<Cpu<T>>& model) {
    for (const TensorInfo& t : model.tensors()) {
        const double mean = t.init.kind == Init::one ? 1 : 0, std = t.name == "embedding.weight" ? 0.7 : 0.25;
        for (int64_t i = 0; i < t.count; i++)
            values_of(model, t)[i] = T(float(mean + std * normal(hash_name(t.name), uint64_t(i))));
    }
}

template <class T>
double loss_and_gradients(Model<Cpu<T>>& model, const TokenBatch& b) {
    std::fill(model.gradients(), model.gradients() + model.parameters(), T(0));
    const double scale = 1 / double(b.shape.tokens());
    const double before = model.totals().loss;
    model.forward_backward(b.shape, b.tokens.data(), b.targets.data(), nullptr, scale);
    return scale * (model.totals().loss - before);
}

}  // namespace sluice
