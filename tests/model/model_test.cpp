// The whole model: every gate variant and option against central differences, float against double, recompute bit for
// bit, memory as planned.
#include <gtest/gtest.h>

#include "base/check.h"
#include "model/counts.h"
#include "support/models.h"

namespace sluice {
namespace {

// `only`: part of the names of the tensors to hold. Float is held to the same models' PyTorch in golden_test.cpp.
void hold_model(const std::string& keys, Batch batch, const std::string& only = "") {
    SCOPED_TRACE(keys);
    const ModelSpec spec = small_model(keys);
    const TokenBatch b(batch, spec.vocab);
    Model<Cpu<double>> model(spec, batch, Recompute::none, Mode::training);
    set_weights(model);
    loss_and_gradients(model, b);
    const double scale = 1 / double(batch.tokens());
    const auto loss = [&] { return scale * model.forward(batch, b.tokens.data(), b.targets.data(), nullptr); };
    for (const TensorInfo& t : model.tensors()) {
        if (t.name.find(only) == std::string::npos) continue;
        EXPECT_LT(
            error_against_differences(loss, model.weights() + t.offset, model.gradients() + t.offset, size_t(t.count)),
            tolerance<double>())
            << t.name;
    }
}

// The gate's own gradients; float is held to double a gate at a time in kernels/gate_test.cpp, and to PyTorch in
// golden_test.cpp.
TEST(Model, EveryGateVariant) {
    for (const auto& [position, p] : EnumNames<Position>::all)
        for (const auto& [granularity, g] : EnumNames<Granularity>::all)
            for (const auto& [heads, h] : EnumNames<HeadSharing>::all)
                for (const auto& [combine, c] : EnumNames<Combine>::all)
                    for (const auto& [activation, a] : EnumNames<Activation>::all)
                        for (const char* input :
                             {"input: hidden", "input: hidden, bias: true", "input: none", "input_width: 3", "rank: 2",
                              "input_width: 5, rank: 3, rank_activation: silu, bias: true"}) {
                            if (p == Position::output && (g == Granularity::headwise || h != HeadSharing::specific))
                                continue;
                            if (std::string(input) == "input: none" && h == HeadSharing::averaged) continue;
                            hold_model("layers=1;qk_norm=false;gates=[{position: " + std::string(position) +
                                           ", granularity: " + granularity + ", heads: " + heads + ", combine: " +
                                           combine + ", activation: " + activation + ", " + input + "}]",
                                       {1, 4}, ".gates.");
                        }
}

// scale: 2 and init_std: 0 make a factor of 1 of a sigmoid's initial scores.
TEST(Model, ADoubledSigmoidStartsAsNoGate) {
    const auto initial_loss = [](const std::string& keys) {
        const ModelSpec spec = small_model(keys);
        const TokenBatch b({2, 5}, spec.vocab);
        Model<Cpu<double>> model(spec, b.shape, Recompute::none, Mode::training);
        set_weights(model);
        for (const TensorInfo& t : model.tensors())
            if (t.name.find(".gates.") != std::string::npos) {
                const bool down = t.name.ends_with(".down.weight");  // of two maps only one may begin at 0
                EXPECT_EQ(t.init.std, down ? spec.init_std : 0) << t.name;
                if (!down) std::fill_n(values_of(model, t), t.count, t.init.std);
            }
        return loss_and_gradients(model, b);
    };
    const double without = initial_loss("gates=[]");
    for (const auto& [position, p] : EnumNames<Position>::all) {
        const std::string gate = std::string("{position: ") + position + ", init_std: 0";
        for (const char* more : {"", ", rank: 2, rank_activation: silu", ", input_width: 3"})
            EXPECT_NEAR(initial_loss("gates=[" + gate + ", scale: 2" + more + "}]"), without, 1e-13) << position;
        EXPECT_GT(std::abs(initial_loss("gates=[" + gate + ", scale: 1.9}]") - without),
                  p == Position::query || p == Position::key ? -1 : 1e-6)  // QK-norm cancels a factor that all share
            << position;
    }
}

// ReLA's norm divides by as little as the root of norm_eps, where few weights are above 0.
TEST(Model, EveryOption) {
    for (const char* keys :
         {"tie_embeddings=true",
          "qk_norm=false;kv_heads=1",
          "sandwich_norm=true",
          "residual_clip=0.05",
          "attention={window: 1}",
          "attention={window: 2, sdpa_norm: rmsnorm}",
          "attention={sdpa_activation: silu}",
          "attention={sdpa_norm: rmsnorm, sdpa_activation: silu};gates=[{position: sdpa}, {position: sdpa, "
          "granularity: headwise}]",
          "attention={kind: rela};norm_eps=0.01",
          "attention={kind: rela, rela_gate: true, window: 2};heads=4;kv_heads=2;head_dim=6;norm_eps=0.01",
          "attention={kind: rela, rela_gate: true, sdpa_norm: rmsnorm, sdpa_activation: "
          "silu};qk_norm=false;norm_eps=0.01;"
          "gates=[{position: sdpa}, {position: value}, {position: output}]",
          "layers=4;attention={0: {window: 2}, 1-2: {kind: rela, window: 3}};"
          "switch_heads={target: kv, experts: 2, top_k: 2};norm_eps=0.01",
          "rope={scaling: linear, factor: 3}",
          "rope={theta: 50, scaling: yarn, factor: 4, original_length: 16}",
          "switch_heads={target: v, experts: 3, top_k: 2}",
          "switch_heads={target: kv, experts: 2, top_k: 2};kv_heads=1",
          "heads=1;head_dim=6;hidden=5;ffn.hidden=3;vocab=7",
          "layers=3;gates={0-1: [{position: sdpa}], 2: [{position: value, bias: true}]}",
          "gates=[{position: query, input_width: 3}, {position: key, rank: 2}, {position: value, heads: shared, "
          "input_width: 5, rank: 1}, {position: sdpa}, {position: sdpa, heads: averaged, rank: 9, rank_activation: "
          "silu}, {position: output, input_width: 7, rank: 2, rank_activation: silu}, {position: output}]",
          "gates=[{position: query, activation: silu}, {position: key}, {position: value}, {position: sdpa}, "
          "{position: output}]"})
        for (const Batch batch : {Batch{1, 3}, Batch{2, 5}}) { hold_model(keys, batch); }
}

TEST(Model, RecomputeGivesTheSameBitsInLessMemory) {
    for (const char* keys :
         {"layers=3;gates=[{position: sdpa}, {position: value, granularity: headwise}, {position: output}]",
          "layers=3;attention={0-1: {kind: rela, rela_gate: true}};gates=[{position: value}]",
          "layers=3;gates=[{position: key, input_width: 3}, {position: sdpa, rank: 4, rank_activation: silu}, "
          "{position: output, rank: 2}]",
          "layers=3;sandwich_norm=true;residual_clip=0.2;switch_heads={target: kv, experts: 2, top_k: 1}"}) {
        const ModelSpec spec = small_model(keys);
        const TokenBatch b({2, 70}, spec.vocab);
        Model<Cpu<float>> reference(spec, b.shape, Recompute::none, Mode::training);
        set_weights(reference);
        const double loss = loss_and_gradients(reference, b);
        for (const Recompute policy : {Recompute::ffn, Recompute::attention, Recompute::block}) {
            Model<Cpu<float>> model(spec, b.shape, policy, Mode::training);
            set_weights(model);
            EXPECT_EQ(loss_and_gradients(model, b), loss);
            EXPECT_TRUE(std::equal(model.gradients(), model.gradients() + model.parameters(), reference.gradients()));
            EXPECT_LT(model.bytes().activations(), reference.bytes().activations());
        }
    }
}

TEST(Model, MemoryIsAsPlannedAndLinearInLength) {
    const ModelSpec spec = small_model("gates=[{position: sdpa}]");
    for (const Recompute policy : {Recompute::none, Recompute::ffn, Recompute::attention, Recompute::block})
        for (const Mode mode : {Mode::training, Mode::inference}) {
            const Model<Cpu<float>> model(spec, {2, 64}, policy, mode);
            const ModelBytes planned = Model<Cpu<float>>::plan(spec, {2, 64}, policy, mode), real = model.bytes();
            EXPECT_EQ(planned.weights, real.weights);
            EXPECT_EQ(planned.gradients, real.gradients);
            EXPECT_EQ(planned.activations(), real.activations());
            EXPECT_EQ(planned.scratch, real.scratch);
        }
    const auto bytes = [&](int64_t length) {
        return double(Model<Cpu<float>>::plan(spec, {1, length}, Recompute::none, Mode::training).activations());
    };
    EXPECT_NEAR((bytes(4096) - bytes(2048)) / (bytes(2048) - bytes(1024)), 2, 0.01);
}

TEST(Model, InferenceAndShorterBatchesAgreeWithTraining) {
    const ModelSpec spec = small_model("sandwich_norm=true;gates=[{position: sdpa}, {position: output}]");
    const TokenBatch b({1, 7}, spec.vocab);
    Model<Cpu<double>> training(spec, {3, 20}, Recompute::none, Mode::training),
        inference(spec, {1, 7}, Recompute::none, Mode::inference);
    set_weights(training);
    set_weights(inference);
    const double loss = training.forward(b.shape, b.tokens.data(), b.targets.data(), nullptr);
    EXPECT_EQ(inference.forward(b.shape, b.tokens.data(), b.targets.data(), nullptr), loss);
    EXPECT_THROW(inference.forward({1, 8}, b.tokens.data(), b.targets.data(), nullptr), Failure);
}

TEST(Model, InitialWeightsDependOnSeedNameAndIndexOnly) {
    const ModelSpec plain = small_model("vocab=500"),
                    gated = small_model("vocab=500;gates=[{position: sdpa, init_std: 0.5}]");
    Model<Cpu<double>> a(plain, {1, 2}, Recompute::none, Mode::inference),
        b(gated, {1, 2}, Recompute::none, Mode::inference);
    a.initialise(7);
    b.initialise(7);
    for (const TensorInfo& t : a.tensors())
        for (const TensorInfo& u : b.tensors()) {
            if (t.name != u.name) continue;
            EXPECT_TRUE(std::equal(a.weights() + t.offset, a.weights() + t.offset + t.count, b.weights() + u.offset))
                << t.name;
        }
    const auto deviation = [](Model<Cpu<double>>& m, const std::string& name) {
        double squares = 0;
        int64_t count = 0;
        for (const TensorInfo& t : m.tensors())
            for (int64_t i = 0; t.name == name && i < t.count; i++, count++)
                squares += m.weights()[t.offset + i] * m.weights()[t.offset + i];
        return std::sqrt(squares / double(count));
    };
    EXPECT_NEAR(deviation(a, "embedding.weight"), 0.02, 0.001);
    EXPECT_NEAR(deviation(a, "layers.0.attention.output.weight"), 0.01, 0.003);  // over sqrt(2 layers)
    EXPECT_NEAR(deviation(b, "layers.1.attention.gates.0.weight"), 0.5, 0.15);
    EXPECT_EQ(deviation(a, "final_norm.weight"), 1);
}

TEST(Model, OneSwitchHeadIsAHeadwiseValueGate) {
    const ModelSpec one = small_model("switch_heads={target: v, experts: 1, top_k: 1}"),
                    gated = small_model("gates=[{position: value, granularity: headwise}]");
    const TokenBatch b({2, 5}, one.vocab);
    Model<Cpu<double>> x(one, b.shape, Recompute::none, Mode::training),
        y(gated, b.shape, Recompute::none, Mode::training);
    x.initialise(3);
    const auto renamed = [](std::string name) {
        for (const auto& [from, to] : {std::pair<std::string, std::string>{"value.experts.weight", "value.weight"},
                                       {"value.router.weight", "gates.0.weight"}})
            if (const size_t at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
        return name;
    };
    for (const TensorInfo& t : x.tensors())
        for (const TensorInfo& u : y.tensors())
            if (renamed(t.name) == u.name) std::copy_n(x.weights() + t.offset, t.count, y.weights() + u.offset);
    EXPECT_DOUBLE_EQ(loss_and_gradients(x, b), loss_and_gradients(y, b));
}

TEST(Counts, ThePapersModels) {
    const auto count = [](const std::string& model, const std::string& gates) {
        return count_parameters(
            load_config(SLUICE_SOURCE_DIR "/configs/models/" + model, {"model.gates=" + gates}, Purpose::plan)
                .config.model);
    };
    const std::string elementwise = "[{position: sdpa}]", headwise = "[{position: sdpa, granularity: headwise}]";
    EXPECT_EQ(count("dense_1p7b_28.yaml", "[]").total, 1'720'574'976);
    EXPECT_EQ(count("dense_1p7b_28.yaml", elementwise).gates, 117'440'512);
    EXPECT_EQ(count("dense_1p7b_28.yaml", headwise).gates, 917'504);
    EXPECT_EQ(count("dense_1p7b_48.yaml", "[]").total, 1'705'735'680);
    EXPECT_EQ(count("dense_1p7b_48.yaml", elementwise).gates, 150'994'944);
    EXPECT_EQ(count("dense_1p7b_48.yaml", headwise).gates, 1'179'648);
}

}  // namespace
}  // namespace sluice
