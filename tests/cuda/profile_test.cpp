// Profiles of a device's ops: the same ops, calls, sizes and work as a CPU's.
#include "kernels/profile.h"

#include <gtest/gtest.h>

#include "cuda/small.h"

namespace sluice {
namespace {

template <class B>
Profile profile_of_a_step(const std::vector<std::string>& keys) {
    Config config = small_config(keys);
    resolve_ranks(config, 1);
    Trainer<B> trainer(config, solo_mesh(memory_of<B>()));
    trainer.step(small_samples);
    Profile profile;
    profile_into(&profile);
    trainer.step(small_samples);
    profile_into(nullptr);
    return profile;
}

// Not ops of which a device's host does not know how much they do, nor those that one of the backends has alone: a
// CPU's Muon is linear maps.
bool compared(const std::string& op, bool muon) {
    if (muon && op.starts_with("linear")) return false;
    for (const char* other : {"adamw", "sum_of_squares", "zero", "orthogonalize", "round_weights"})
        if (op == other) return false;
    return true;
}

const std::string kMuon = "optimizer.kind=muon";
const std::vector<std::vector<std::string>> kModels{
    {"model.gates=[{position: sdpa, granularity: elementwise, bias: true}, {position: query, heads: averaged}]",
     "model.residual_clip=1.5", "model.sandwich_norm=true"},
    {"model.moe={experts: 4, top_k: 2, hidden: 24, shared_hidden: 16, balance: global_batch}"},
    {"model.attention={kind: rela, rela_gate: true, sdpa_activation: silu}", "model.qk_norm=false"},
    {"model.switch_heads={target: kv, experts: 3, top_k: 2}", "probes.every=1"},
    {kMuon, "model.attention={window: 5}", "model.gates=[{position: sdpa, input: none}]"},
};

TEST(Profiles, HaveTheOpsAndTheWorkOfACpus) {
    for (const auto& keys : kModels) {
        SCOPED_TRACE(keys[0]);
        const Profile cpu = profile_of_a_step<Cpu<float>>(keys), cuda = profile_of_a_step<Cuda<float>>(keys);
        for (const auto& [profile, other] : {std::pair(&cpu, &cuda), std::pair(&cuda, &cpu)})
            for (const auto& [key, time] : profile->ops) {
                const auto& [op, size] = key;
                if (!compared(op, keys[0] == kMuon)) continue;
                SCOPED_TRACE(op + testing::PrintToString(size));
                const auto same = other->ops.find(key);
                ASSERT_NE(same, other->ops.end());
                EXPECT_EQ(same->second.calls, time.calls);
                EXPECT_EQ(same->second.work.flops, time.work.flops);
                EXPECT_EQ(same->second.work.bytes, time.work.bytes);
            }
    }
}

TEST(Profiles, AreResolvedAsTheyEnd) {
    const Profile profile = profile_of_a_step<Cuda<bf16>>(kModels[0]);
    ASSERT_GT(profile.ops.size(), 10u);
    for (const auto& [key, time] : profile.ops) EXPECT_GT(time.seconds, 0) << key.first;
    EXPECT_TRUE(profile.ops.count({"adamw", {0, 0, 0}}));
    Profile none;
    profile_into(&none);
    profile_into(nullptr);
    EXPECT_TRUE(none.ops.empty());
}

}  // namespace
}  // namespace sluice
