// Times of a step on GPUs, held to sums made by hand.
#include "plan/step_time.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "config/load.h"
#include "model/counts.h"

namespace sluice {
namespace {

const GpuFigures& h100() { return *find_gpu("h100"); }

TEST(PeakRate, IsOfTheDeviceAsItsDriverCallsIt) {
    EXPECT_EQ(peak_rate("NVIDIA H100 80GB HBM3", Precision::bf16), 989.4e12);
    EXPECT_EQ(peak_rate("NVIDIA H200", Precision::bf16), 989.4e12);
    EXPECT_EQ(peak_rate("NVIDIA H200", Precision::fp32), 67e12);
    EXPECT_EQ(peak_rate("NVIDIA A100-SXM4-40GB", Precision::bf16), 312e12);
    EXPECT_EQ(peak_rate("NVIDIA B200", Precision::bf16), 2250e12);
    for (const char* other :
         {"NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA GH200 480GB", "NVIDIA L40S", "AMD EPYC", ""})
        EXPECT_EQ(peak_rate(other, Precision::bf16), 0) << other;
}

Config model(const std::string& name, std::vector<std::string> keys, int ranks) {
    return load_config(SLUICE_SOURCE_DIR "/configs/models/" + name, keys, Purpose::plan, ranks).config;
}
StepTime step(const Config& c, int64_t ranks, const GpuFigures& gpu) {
    return estimate_step(c, mesh_coord(mesh_shape(c.model, c.parallel), ranks, 0), gpu);
}
void expect_near(double x, double by_hand, const char* what) { EXPECT_NEAR(x / by_hand, 1, 1e-3) << what; }

// ---------------------------------------------------------------- groups on nodes of eight
TEST(Network, MembersOfANode) {
    const auto members = [](int64_t size, int64_t stride, int64_t ranks) {
        return members_of_a_node({size, stride, ranks});
    };
    EXPECT_EQ(members(8, 1, 8), 8);        // within a node
    EXPECT_EQ(members(4, 2, 64), 4);       // data x 4 on nodes of tensor 2
    EXPECT_EQ(members(2, 4, 1024), 2);     //
    EXPECT_EQ(members(1024, 1, 1024), 8);  // whole nodes
    EXPECT_EQ(members(512, 2, 1024), 4);   // tensor 2: four of a data group share a node
    EXPECT_EQ(members(256, 4, 1024), 2);
    EXPECT_EQ(members(128, 8, 1024), 1);  // tensor 8: one GPU a node
    EXPECT_EQ(members(4, 16, 64), 1);     // ranks with the same experts of expert 16
    EXPECT_EQ(members(16, 1, 64), 8);     // expert 16
    EXPECT_EQ(members(12, 1, 12), 4);     // a node and a half
    EXPECT_EQ(members(6, 1, 24), 2);      // 0-5 fit, 6-11 lie on two nodes, two and four of them
    EXPECT_EQ(members(3, 1, 6), 3);       // both on the only node
    EXPECT_EQ(members(4, 3, 12), 1);      // 0 3 6 | 9
    EXPECT_EQ(members(1, 1, 1), 1);
}

// The link's 370 GB/s within a node and over whole nodes (8 adapters of 46.25); one adapter for one GPU a node.
TEST(Network, RatesOfRings) {
    const auto rate = [](int64_t size, int64_t stride, int64_t ranks) {
        return ring_rate(h100(), {size, stride, ranks}) / 1e9;
    };
    EXPECT_DOUBLE_EQ(rate(8, 1, 8), 370);
    EXPECT_DOUBLE_EQ(rate(1024, 1, 1024), 370);
    EXPECT_DOUBLE_EQ(rate(512, 2, 1024), 185);
    EXPECT_DOUBLE_EQ(rate(128, 8, 1024), 46.25);
    EXPECT_DOUBLE_EQ(rate(12, 1, 12), 185);
    EXPECT_DOUBLE_EQ(ring_rate(*find_gpu("a100"), {1024, 1, 1024}) / 1e9, 185);  // eight of 200 Gb/s
    EXPECT_DOUBLE_EQ(ring_rate(*find_gpu("b200"), {1024, 1, 1024}) / 1e9, 370);  // a link of 740 does not help
}

// Of 800 bytes on 8 GPUs of a node 700 go over the link at 80 %; on 16, 350 so and 400 through the own adapter, at
// once.
TEST(Network, AllToAll) {
    EXPECT_DOUBLE_EQ(all_to_all_seconds(h100(), {8, 1, 8}, 800), 700 / 296e9);
    EXPECT_DOUBLE_EQ(all_to_all_seconds(h100(), {16, 1, 64}, 800), 400 / 46.25e9);
}

// ---------------------------------------------------------------- memory
// What nvidia-smi lists in MiB, and what is set aside.
TEST(Gpu, MemoryIsTheCards) {
    const auto gib = [](const char* name) { return find_gpu(name)->memory / (1 << 30); };
    EXPECT_DOUBLE_EQ(gib("a100"), 80);
    EXPECT_NEAR(gib("h100"), 79.65, 0.01);
    EXPECT_NEAR(gib("h200"), 140.4, 0.01);
    EXPECT_NEAR(gib("b200"), 179.06, 0.01);
}

TEST(Gpu, SetsAsideForContextCommunicatorsAndWorkspaces) {
    MeshCoord p;
    const auto groups = [&](int64_t replicas = 1) {
        const DeviceReserve r = device_reserve(p, replicas);
        EXPECT_EQ(r.context, 1 << 30);
        EXPECT_EQ(r.workspaces, 160 << 20);
        return (r.nccl - (p.expert > 1 ? 3.3e9 : 0)) / 688 / (1 << 20);
    };
    EXPECT_EQ(groups(), 0);
    p.data = 8;
    EXPECT_EQ(groups(), 1);
    p.tensor = 8;
    EXPECT_EQ(groups(), 2);
    EXPECT_EQ(groups(2), 3);  // ranks with the same key-value heads
    EXPECT_EQ(groups(8), 2);  // these are the tensor group
    p.expert = 4;
    EXPECT_EQ(groups(), 4);  // experts, and ranks with the same ones
    p.expert = 8;
    EXPECT_EQ(groups(), 2);  // the data group
}

// ---------------------------------------------------------------- time
// 1.7B on 1,024 H100, a sequence of 4096 tokens each. Matrices: 28 layers x (2 x 2048 x 2048 + 2 x 2048 x 1024 + 3 x
// 2048 x 6144) + 151936 x 2048 of the head = 1,720,451,072.
TEST(StepTime, Dense17BOn1024) {
    const Config c = model("dense_1p7b_28.yaml", {}, 1024);
    const StepTime s = step(c, 1024, h100());
    const double matrices = 1720451072, parameters = 1720574976, head = 311164928;
    const double gemm = 4096 * 6 * matrices / (989.4e12 * 0.72);                  // 59.4 ms
    const double attention = 4096 * 12.0 * 28 * 2048 * 2048 / (989.4e12 * 0.42);  // 13.9 ms
    const double optimizer = 30 * parameters / 3e12;                              // 17.2 ms
    // Passes a layer: 16 over 2048 (norms, residual), 5 over 3072 (queries, keys), 9 over 6144; 2 over the logits.
    const double pointwise = 4096 * 2 * (28 * (16 * 2048 + 5 * 3072 + 9 * 6144.0) + 2 * 151936) / 3e12;  // 8.7 ms
    // An all-reduce of 4 bytes a parameter at 370 GB/s, 37.2 ms, hides under two thirds of 73.2 ms; but for the
    // embedding's, which is complete when backward ends: 6.7 ms.
    const double gradients = 2 * 1023 / 1024.0 * 4 * head / 370e9;
    expect_near(s.gemm, gemm, "gemm");
    expect_near(s.attention, attention, "attention");
    expect_near(s.optimizer, optimizer, "optimizer");
    expect_near(s.memory, pointwise, "pointwise");
    expect_near(s.gradients, gradients, "gradients");
    EXPECT_EQ(s.tensor + s.expert + s.experts + s.weights, 0);
    const double seconds = gemm + attention + optimizer + pointwise + gradients;
    expect_near(s.seconds(), seconds, "step");
    expect_near(s.tokens_per_second, 1024 * 4096 / seconds, "tokens");
    // Causal: 6 a matrix weight and 6 L q d T; the full square has 12 of the latter.
    const double scores = 6.0 * 28 * 2048 * 4096, rate = 4096 / seconds / 989.4e12;
    expect_near(s.mfu, (6 * matrices + scores) * rate, "MFU");
    expect_near(s.mfu_full_square, (6 * matrices + 2 * scores) * rate, "MFU with the full square");
    EXPECT_GT(s.mfu, 0.40);
    EXPECT_LT(s.mfu, 0.60);
}

// With zero the optimizer has 1/1024 of the work, and weights are gathered in the open: 1023/1024 of 2 bytes each.
TEST(StepTime, ZeroGathersWeightsInTheOpen) {
    const StepTime s = step(model("dense_1p7b_28.yaml", {"parallel.zero=1"}, 1024), 1024, h100());
    expect_near(s.weights, 1023 / 1024.0 * 2 * 1720574976 / 370e9, "weights");     // 9.3 ms
    expect_near(s.gradients, 1023 / 1024.0 * 4 * 311164928 / 370e9, "gradients");  // 3.4 ms
    EXPECT_LT(s.optimizer, 1e-3);
    EXPECT_GT(s.mfu, 0.45);
    EXPECT_LT(s.mfu, 0.60);
}

// What does not hide: with tensor 8 a data group has one GPU a node, and 1/8 of the gradients go through one adapter.
TEST(StepTime, GradientsThatDoNotHide) {
    const StepTime s = step(model("dense_1p7b_28.yaml", {"parallel.tensor=8"}, 1024), 1024, h100());
    const TrafficPlan t = plan_traffic(model("dense_1p7b_28.yaml", {"parallel.tensor=8"}, 1024),
                                       mesh_coord({8, 1, false, 1}, 1024, 0), 2, 4);
    const double sums = t.wire.gradients / 46.25e9;  // about 37 ms
    expect_near(sums, 2 * 127 / 128.0 * 4 * 1720574976 / 8 / 46.25e9, "sums");
    EXPECT_DOUBLE_EQ(s.gradients, std::max(t.wire.last_gradients / 46.25e9, sums - (s.gemm + s.attention) * 2 / 3 / 1));
    // Of eight micro-batches only the last one's backward hides them.
    const std::vector<std::string> eight{"parallel.tensor=8", "train.micro_batch=1"};
    const StepTime last = step(model("dense_1p7b_28.yaml", eight, 1024), 1024, h100());
    EXPECT_GT(last.gradients, s.gradients);
    expect_near(last.gradients, sums - (s.gemm + s.attention) * 2 / 3 / 8, "eight micro-batches");
}

// Tensor ranks cut the work of heads, widths and vocabulary; norms and residual only with sequence.
TEST(StepTime, TensorCutsPointwiseWork) {
    const auto pointwise = [](std::vector<std::string> keys) {
        return step(model("dense_1p7b_28.yaml", keys, 8), 8, h100()).memory;
    };
    const double a_token = 1024 * 4096 * 2 / 3e12;  // of a data group of one
    const double rows = 28 * 16 * 2048, sharding = 28 * (5 * 3072 + 9 * 6144.0) + 2 * 151936;
    expect_near(pointwise({"parallel.tensor=8"}), a_token * (rows + sharding / 8), "tensor");
    expect_near(pointwise({"parallel.tensor=8", "parallel.sequence=true"}), a_token * (rows + sharding) / 8,
                "sequence");
    expect_near(pointwise({}), a_token * (rows + sharding) / 8, "data");
    // Four tensor ranks and the gate of 16 heads: 8 more passes over them.
    const std::string gate = "model.gates=[{position: sdpa}]", output = "model.gates=[{position: output}]";
    const double gated = 28 * 8 * 2048.0;
    expect_near(pointwise({"parallel.tensor=8", gate}), a_token * (rows + (sharding + gated) / 8), "gate");
    expect_near(pointwise({"parallel.tensor=8", output}), a_token * (rows + gated + sharding / 8),
                "gate of the output");
}

// A window makes less to do, but the other convention counts the square all the same.
TEST(StepTime, FullSquareWithAWindow) {
    const Config whole = model("dense_1p7b_28.yaml", {}, 8);
    const Config window = model("dense_1p7b_28.yaml", {"model.attention.window=1024"}, 8);
    const double weights = flops_per_token(whole.model, 4096) - 6.0 * 28 * 2048 * 4096,
                 square = 12.0 * 28 * 2048 * 4096;
    EXPECT_EQ(flops_per_token_full_square(whole.model, 4096), weights + square);
    EXPECT_EQ(flops_per_token_full_square(window.model, 4096), weights + square);
    EXPECT_EQ(weights, 6.0 * 1720451072);  // as in Dense17BOn1024
    // Of the first 1024 tokens half is seen.
    EXPECT_EQ(flops_per_token(window.model, 4096), weights + 12.0 * 28 * 2048 * (1024 - 128));
}

TEST(StepTime, TensorAndSequenceTraffic) {
    const auto tensor = [](std::vector<std::string> keys) {
        const Config c = model("dense_1p7b_28.yaml", keys, 8);
        return step(c, 8, h100()).tensor;
    };
    // Tokens a step: 1024 x 4096 x 2048 x 2 bytes. All-reduces: 2 a branch and 2 more, each 2 x 7/8 of it; with
    // sequence 5 transfers of 7/8 a branch and 4 more. And three floats a token of the head from 7 ranks.
    const double tokens = 1024.0 * 4096, whole = tokens * 2048 * 2, stats = tokens * 3 * 4 * 7;
    expect_near(tensor({"parallel.tensor=8"}), ((56 * 2 + 2) * 2 * 7 / 8.0 * whole + stats) / 370e9, "all-reduces");
    expect_near(tensor({"parallel.tensor=8", "parallel.sequence=true"}),
                ((56 * 5 + 4) * 7 / 8.0 * whole + stats) / 370e9, "gathers and scatters");
}

// 15A2B with expert 16 on 64 GPUs: of 8 picks of 65,536 tokens a rank and 24 layers a row of 4096 bytes goes and comes
// back, forward and backward, and 4 bytes of weight; half of it leaves the node through one adapter.
TEST(StepTime, ExpertsAcrossNodes) {
    const GpuFigures& h200 = *find_gpu("h200");
    const StepTime s = step(model("moe_15a2b.yaml", {"parallel.expert=16", "train.micro_batch=1"}, 64), 64, h200);
    expect_near(s.expert, 24 * 65536.0 * 8 * 2 * (2 * 4096 + 4) / 2 / 46.25e9, "expert");  // 2.23 s
    // Grouped GEMMs: 3 x 2048 x 768 of 8 experts at half the peak; and in each of 16 micro-batches 12 bytes of every
    // weight here, 8 experts of 24 layers.
    const double weights = 3 * 2048 * 768.0 * 24;
    const Config again =
        model("moe_15a2b.yaml", {"parallel.expert=16", "train.recompute=ffn", "train.micro_batch=1"}, 64);
    const double passes = 1 + 23 / 24.0 / 3;  // and 2 bytes more to read, in all layers but the last
    expect_near(step(again, 64, h200).experts,
                65536 * 6 * weights * 8 * passes / (989.4e12 * 0.5) + 16 * (12 + 2 * 23 / 24.0) * weights * 8 / 4.3e12,
                "experts again");
    expect_near(s.experts, 65536 * 6 * weights * 8 / (989.4e12 * 0.5) + 16 * 12 * weights * 8 / 4.3e12, "experts");
}

// With zero and experts over a node, those of 8 nodes are summed, and weights gathered, one GPU a node: 2 bytes a
// weight of 16 experts of 24 layers, and of all else over whole nodes.
TEST(StepTime, ExpertsAreSummedOverNodes) {
    const Config c = model("moe_15a2b.yaml", {"parallel.expert=8", "parallel.zero=1", "train.micro_batch=8"}, 64);
    const StepTime s = step(c, 64, *find_gpu("h200"));
    const double experts = 3 * 2048 * 768.0 * 24 * 16, others = 15577227264 - 8 * experts;
    expect_near(s.weights, 7 / 8.0 * 2 * experts / 46.25e9 + 63 / 64.0 * 2 * others / 370e9, "weights");
    const double sums = 7 / 8.0 * 4 * experts / 46.25e9 + 63 / 64.0 * 4 * others / 370e9;
    const double cover = (s.gemm + s.experts + s.attention) * 2 / 3 / 2;  // of two micro-batches the last
    const double embedding = 63 / 64.0 * 4 * 151936 * 2048 / 370e9;
    EXPECT_NEAR(s.gradients / std::max(embedding, sums - cover), 1, 1e-3);
    // And where backward is short: one sequence a rank, on 16 times as many.
    const StepTime wide =
        step(model("moe_15a2b.yaml", {"parallel.expert=8", "parallel.zero=1"}, 1024), 1024, *find_gpu("b200"));
    const double wide_sums = 127 / 128.0 * 4 * experts / 46.25e9 + 1023 / 1024.0 * 4 * others / 370e9;
    expect_near(wide.gradients, wide_sums - (wide.gemm + wide.experts + wide.attention) * 2 / 3, "exposed");
}

// Passes a layer over what experts see: norms and residual 16 x 2048, queries 5 x 4096, keys 5 x 512, 9 over 8 picks of
// 768, routed rows 6 x 8 x 2048; and two over the logits. Recomputation adds its third to a branch.
TEST(StepTime, PointwiseWorkOfExperts) {
    const auto pointwise = [](const char* recompute) {
        const Config c = model("moe_15a2b.yaml", {std::string("train.recompute=") + recompute}, 64);
        return step(c, 64, *find_gpu("h200")).memory;
    };
    const double attention = 24 * (8 * 2048 + 5 * 4096 + 5 * 512.0);
    const double ffn = 24 * (8 * 2048 + 9 * 8 * 768 + 6 * 8 * 2048.0), logits = 2 * 151936;
    const double a_pass = 65536 * 2 / 4.3e12, again = 1 + 23 / 24.0 / 3;
    expect_near(pointwise("none"), a_pass * (attention + ffn + logits), "none");
    expect_near(pointwise("attention"), a_pass * (attention * again + ffn + logits), "attention");
    expect_near(pointwise("ffn"), a_pass * (attention + ffn * again + logits), "ffn");
}

// Key-value heads are cut no finer than there are, and their neighbours' gradients are summed over the link.
TEST(StepTime, FewKeyValueHeads) {
    const Config c = model("moe_15a2b.yaml", {"parallel.tensor=8", "train.micro_batch=1"}, 8);
    const StepTime s = step(c, 8, *find_gpu("h200"));
    const double sharding = 5 * 4096 / 8.0 + 5 * 512 / 4.0 + 9 * 8 * 768 / 8.0;
    expect_near(s.memory, 4194304 * 2 / 4.3e12 * (24 * (16 * 2048 + sharding + 6 * 8 * 2048.0) + 2 * 151936 / 8.0),
                "memory");
    const TrafficPlan t = plan_traffic(c, mesh_coord(mesh_shape(c.model, c.parallel), 8, 0), 2, 4);
    EXPECT_GT(t.wire.replicas, 0);
    EXPECT_DOUBLE_EQ(s.tensor, t.wire.tensor / 370e9 + t.wire.replicas / 370e9);
}

// Recomputation adds a third of a branch, in all layers but the last.
TEST(StepTime, Recompute) {
    const auto at = [](const char* word) {
        return step(model("dense_1p7b_28.yaml", {std::string("train.recompute=") + word}, 8), 8, h100());
    };
    const double again = 1 + 27 / 28.0 / 3;
    const StepTime none = at("none"), attention = at("attention"), ffn = at("ffn"), block = at("block");
    const double a_flop = 128 * 4096 * 6 * 28 / (989.4e12 * 0.72);
    const double heads = a_flop * (2 * 2048 * 2048 + 2 * 2048 * 1024.0), width = a_flop * 3 * 2048 * 6144.0;
    expect_near(attention.gemm - none.gemm, heads * (again - 1), "attention");
    expect_near(ffn.gemm - none.gemm, width * (again - 1), "ffn");
    expect_near(block.gemm - none.gemm, (heads + width) * (again - 1), "block");
    expect_near(attention.attention, none.attention * again, "scores");
    EXPECT_EQ(ffn.attention, none.attention);
}

// fp32 multiplies without tensor cores, moves 4 bytes an element, and has no second copy of weights to write.
TEST(StepTime, FollowsThePrecision) {
    const StepTime bf16 = step(model("dense_1p7b_28.yaml", {}, 8), 8, h100());
    const StepTime fp32 = step(model("dense_1p7b_28.yaml", {"train.precision=fp32"}, 8), 8, h100());
    EXPECT_NEAR(fp32.gemm / bf16.gemm, 989.4 / 67, 1e-9);
    EXPECT_NEAR(fp32.attention / bf16.attention, 989.4 / 67, 1e-9);
    EXPECT_NEAR(fp32.memory / bf16.memory, 2, 1e-9);
    EXPECT_NEAR(fp32.optimizer / bf16.optimizer, 28 / 30.0, 1e-9);
    EXPECT_LT(fp32.mfu, 1);
    const std::string said = assumptions(h100(), Precision::fp32, {});
    EXPECT_NE(said.find("fp32 peak 67.0 TFLOP/s (without TF32)"), std::string::npos) << said;
    EXPECT_EQ(said.find("bf16"), std::string::npos) << said;
    EXPECT_NE(assumptions(h100(), Precision::bf16, {}).find("bf16 peak 989.4"), std::string::npos);
}

// A layer's matrices are query, output and SwiGLU's three of 16 x 8, key and value of 8 x 8. Newton-Schulz takes five
// times 4 n^2 m + 2 n^3. AdamW moves 28 bytes a number, Muon 20, and with bf16 both 2 more for the weight.
TEST(StepTime, OfMuonsUpdate) {
    const auto config = [](const char* kind) {
        return load_config_text("", "test",
                                {"model.layers=2", "model.hidden=8", "model.heads=4", "model.kv_heads=2",
                                 "model.head_dim=4", "model.vocab=32", "model.ffn.hidden=16", "data.sequence_length=8",
                                 "train.batch=8", "train.precision=bf16", std::string("optimizer.kind=") + kind},
                                Purpose::plan, 1)
            .config;
    };
    const double matrices = 2 * (5 * 128 + 2 * 64), flops = 2 * 5 * (5 * (4. * 64 * 16 + 2 * 512) + 2 * 6. * 512);
    const double adamw = step(config("adamw"), 1, h100()).optimizer, muon = step(config("muon"), 1, h100()).optimizer;
    EXPECT_NEAR(adamw - muon, matrices * 8 / h100().bandwidth - flops / (h100().peak_bf16 * kGemmShare), 1e-16);
}

}  // namespace
}  // namespace sluice
