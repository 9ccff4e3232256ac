// Mixtures of experts: the objective with its auxiliary losses against differences, one expert against the dense
// feed-forward, and what routers count.
#include <gtest/gtest.h>

#include <numeric>

#include "support/models.h"

namespace sluice {
namespace {

// The loss and what routers add to it, of one micro-batch; gradients are left in the model.
double objective(Model<Cpu<double>>& model, const TokenBatch& b) {
    const MoeSpec& n = model.spec().moe;
    model.reset_totals();
    double sum = loss_and_gradients(model, b);
    for (const Routing& r : model.routing()) {
        if (n.balance == Balance::global_batch || n.balance == Balance::micro_batch)
            sum += n.balance_coef * r.sums->balance;
        sum += n.z_coef * r.sums->z;
    }
    return sum;
}

TEST(Mixture, ObjectiveAgainstDifferences) {
    for (const char* keys :
         {"moe={experts: 4, top_k: 2, hidden: 6, shared_hidden: 4, balance_coef: 0.3, z_coef: 0.2}",
          "moe={experts: 3, top_k: 1, hidden: 5, norm_top_k: false, balance: micro_batch, balance_coef: 0.5, z_coef: "
          "0}",
          "moe={experts: 3, top_k: 1, hidden: 5}", "moe={experts: 2, top_k: 2, hidden: 4, balance: none, z_coef: 0.4}",
          "moe={experts: 5, top_k: 3, hidden: 4, balance: bias};sandwich_norm=true;gates=[{position: sdpa}]"})
        for (const Batch batch : {Batch{1, 3}, Batch{2, 5}}) {
            SCOPED_TRACE(keys);
            const ModelSpec spec = small_model(keys);
            const TokenBatch b(batch, spec.vocab);
            Model<Cpu<double>> model(spec, batch, Recompute::none, Mode::training);
            set_weights(model);
            objective(model, b);
            const std::vector<double> gradients(model.gradients(), model.gradients() + model.parameters());
            for (const TensorInfo& t : model.tensors()) {
                if (!t.trained()) continue;
                EXPECT_LT(error_against_differences([&] { return objective(model, b); }, model.weights() + t.offset,
                                                    gradients.data() + t.offset, size_t(t.count)),
                          tolerance<double>())
                    << t.name;
            }
        }
}

TEST(Mixture, OneExpertOfWeightOneIsTheDenseFeedForward) {
    for (const char* norm : {"true", "false"}) {
        const ModelSpec dense = small_model(""),
                        mixture = small_model(
                            "moe={experts: 1, top_k: 1, hidden: 6, z_coef: 0, norm_top_k: " + std::string(norm) + "}");
        const TokenBatch b({2, 5}, dense.vocab);
        Model<Cpu<double>> a(dense, b.shape, Recompute::none, Mode::training),
            m(mixture, b.shape, Recompute::none, Mode::training);
        set_weights(a);
        const auto counterpart = [&](const TensorInfo& t) {  // of the dense model, or null: the router
            std::string name = t.name;
            if (const size_t at = name.find("moe.experts."); at != std::string::npos) name.replace(at, 12, "ffn.");
            for (const TensorInfo& u : a.tensors())
                if (u.name == name) return &u;
            return static_cast<const TensorInfo*>(nullptr);
        };
        for (const TensorInfo& t : m.tensors())
            if (const TensorInfo* u = counterpart(t))
                std::copy_n(a.weights() + u->offset, t.count, m.weights() + t.offset);
        m.reset_totals();
        EXPECT_NEAR(loss_and_gradients(m, b), loss_and_gradients(a, b), 1e-14);
        for (const TensorInfo& t : m.tensors())
            for (int64_t i = 0; i < t.count; i++) {
                const TensorInfo* u = counterpart(t);
                EXPECT_NEAR(m.gradients()[t.offset + i], u ? a.gradients()[u->offset + i] : 0, 1e-14) << t.name;
            }
    }
}

TEST(Mixture, CountsAddUpOverMicroBatchesAndEvaluationLeavesThemAlone) {
    const ModelSpec spec = small_model("moe={experts: 4, top_k: 2, hidden: 6}");
    const TokenBatch b({2, 5}, spec.vocab);
    Model<Cpu<double>> model(spec, b.shape, Recompute::block, Mode::training);
    set_weights(model);
    const auto picks = [&] {
        const Routing& r = model.routing()[0];  // recomputed in backward: counted once all the same
        EXPECT_EQ(std::vector<int64_t>(r.tokens_per_expert, r.tokens_per_expert + 4),
                  std::vector<int64_t>(r.global_tokens_per_expert, r.global_tokens_per_expert + 4));
        return std::vector<int64_t>(r.tokens_per_expert, r.tokens_per_expert + 4);
    };
    model.reset_totals();
    loss_and_gradients(model, b);
    const auto once = picks();
    EXPECT_EQ(std::accumulate(once.begin(), once.end(), int64_t{0}), 10 * 2);
    loss_and_gradients(model, b);
    for (size_t e = 0; e < 4; e++) EXPECT_EQ(picks()[e], 2 * once[e]);
    model.forward(b.shape, b.tokens.data(), b.targets.data(), nullptr);
    for (size_t e = 0; e < 4; e++) EXPECT_EQ(picks()[e], 2 * once[e]);
    model.reset_totals();
    EXPECT_EQ(picks(), std::vector<int64_t>(4, 0));
}

TEST(Mixture, BiasesMoveTowardsBalance) {
    const ModelSpec spec = small_model("moe={experts: 4, top_k: 2, hidden: 6, balance: bias}");
    Model<Cpu<double>> model(spec, {1, 2}, Recompute::none, Mode::training);
    const std::vector<int64_t> picks{7, 5, 5, 3, 5, 5, 5, 5};  // of two layers
    model.update_router_biases(picks.data(), 0.5);
    model.update_router_biases(picks.data(), 0.25);
    std::vector<std::vector<double>> biases;
    for (const TensorInfo& t : model.tensors())
        if (t.name.ends_with("router.bias")) {
            biases.emplace_back(values_of(model, t), values_of(model, t) + 4);
            EXPECT_FALSE(t.trained());
        }
    ASSERT_EQ(biases.size(), 2u);
    EXPECT_EQ(biases[0], (std::vector<double>{-0.75, 0, 0, 0.75}));
    EXPECT_EQ(biases[1], std::vector<double>(4, 0));
}

}  // namespace
}  // namespace sluice
