// Attention as the engine chooses it against its own kernels (train.attention), and both against Cpu<double>. What both
// compute has the same bits where the choice is our own.
#include <cmath>
#include <optional>

#include "base/check.h"
#include "gpu/judge.h"

namespace sluice {
namespace {

struct Attention {
    int64_t length;
    bool far_scores = false;  // near -100
    const char* window = "";
};

Keys keys_of(const Attention& a, Sizes sizes, const std::string& choice) {
    const std::string dim = sizes == Sizes::real ? "128" : "32";
    Keys keys{"model.hidden=128",      "model.heads=2",       "model.kv_heads=2",
              "model.head_dim=" + dim, "model.layers=1",      "data.sequence_length=" + std::to_string(a.length),
              "train.batch=2",         "train.precision=bf16"};
    if (*a.window) keys.push_back(std::string("model.attention={window: ") + a.window + "}");
    if (a.far_scores) keys.insert(keys.end(), {"model.qk_norm=false", "model.rope.theta=1e12"});
    if (!choice.empty()) keys.push_back("train.attention=" + choice);
    return keys;
}

// Tokens with much in common, so that a query's length is about sqrt(100 sqrt(dim)), and keys that are minus the
// queries: a token's score with itself is about -100, and nearer to 0 with the distance.
template <class B>
void set_far(Model<B>& model) {
    const double dim = double(model.spec().head_dim), width = double(model.spec().hidden);
    const double channel = std::sqrt(100 / std::sqrt(dim));  // of a query
    for (const TensorInfo& t : model.tensors()) {
        const bool query = t.name.ends_with("attention.query.weight"), key = t.name.ends_with("attention.key.weight");
        if (!query && !key && t.name != "embedding.weight") continue;
        std::vector<float> values;
        for (int64_t i = 0; i < t.count; i++) {
            const double weight = channel / width * (1 + 0.5 * std::sin(0.7 * double(i) + 1));
            values.push_back(float(query ? weight : key ? -weight : 1 + 0.2 * std::cos(2.3 * double(i * i % 1009))));
        }
        model.set(t, values.data());
    }
}

// As bf16 has them, for every backend.
Weights weights_of_rows(const Config& config, bool far_scores) {
    Model<Cpu<float>> model(config.model, {1, 1}, Recompute::none, Mode::inference);
    model.initialise(config.run.seed);
    if (far_scores) set_far(model);
    Weights weights = weights_of(model);
    for (auto& values : weights)
        for (float& x : values) x = float(bf16(x));
    return weights;
}

template <class B>
Passes run(const Config& config, const Weights& weights) {
    Trainer<B> trainer(config, solo_mesh(memory_of<B>()));  // which chooses attention by the config
    Model<B>& model = trainer.model();
    for (size_t i = 0; i < model.tensors().size(); i++) {
        const std::vector<typename B::A> values(weights[i].begin(), weights[i].end());
        model.set(model.tensors()[i], values.data());
    }
    const Tokens t = tokens_of(config, config.train.micro_batch);
    Passes seen;
    model.reset_totals();
    model.forward(t.batch, t.tokens.data(), t.targets.data(), nullptr);
    seen.activations = activations_of(model, t.batch);
    model.reset_totals();
    zero<B>(model.stream(), model.gradients(), model.parameters());
    model.forward_backward(t.batch, t.tokens.data(), t.targets.data(), nullptr, 1 / double(t.batch.tokens()));
    seen.gradients = gradients_of(model);
    return seen;
}

// The config with train.attention, unless this build does not know it.
std::optional<Config> config_with(const Attention& a, Sizes sizes, const std::string& choice) {
    try {
        return model_config(sizes, keys_of(a, sizes, choice));
    } catch (const Failure& failure) {
        if (failure.code() != Exit::config || std::string(failure.what()).find("train.attention") == std::string::npos)
            throw;
        return std::nullopt;
    }
}

Outcome hold(const Attention& a, Sizes sizes, bool ours) {
    using B = Cuda<bf16>;
    const auto own = config_with(a, sizes, "own"), chosen = config_with(a, sizes, "auto");
    const Config config = own ? *own : model_config(sizes, keys_of(a, sizes, ""));
    const Weights weights = weights_of_rows(config, a.far_scores);
    const Passes by_own = run<B>(config, weights);
    if (a.far_scores)
        if (const std::string wrong = not_far(by_own); !wrong.empty()) return {Outcome::fail, wrong, {}};
    if (!own || !chosen) return {Outcome::not_run, "this build has one attention: no train.attention", {}};
    return judge_attention(run<B>(*chosen, weights), by_own, run<Cpu<double>>(config, weights), ours);
}

Row row(const std::string& name, Attention a, bool ours = false) {
    return {"attention." + name, [=](Sizes sizes) { return hold(a, sizes, ours); }};
}

}  // namespace

std::vector<Row> attention_rows() {
    return {row("cudnn", {256}), row("cudnn_window", {384, false, "100"}), row("cudnn_scores", {256, true}),
            row("own_192", {192}, true)};
}

}  // namespace sluice
