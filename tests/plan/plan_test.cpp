// What a plan counts, held to sums made by hand: bytes on the wire by collective, bytes of a checkpoint, experts' rows.
// mesh_test holds memory and bytes handed in to what is allocated and counted.
#include "plan/plan.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "checkpoint/checkpoint_writer.h"
#include "config/load.h"
#include "support/folder.h"
#include "train/step.h"

namespace sluice {
namespace {

// 16 tokens a micro-batch. Parameters: embedding and head 32 x 8 each, final norm 8; a layer has norms 8 + 8, query and
// output 16 x 8, key and value 8 x 8, their norms 4 + 4, SwiGLU 3 x 16 x 8: 792. In all 520 + 2 x 792 = 2104.
Config small(const std::vector<std::string>& more, int ranks) {
    std::vector<std::string> keys{
        "model.layers=2", "model.hidden=8",      "model.heads=4",          "model.kv_heads=2", "model.head_dim=4",
        "model.vocab=32", "model.ffn.hidden=16", "data.sequence_length=8", "train.batch=8",    "train.micro_batch=2"};
    keys.insert(keys.end(), more.begin(), more.end());
    return load_config_text("", "test", keys, Purpose::plan, ranks).config;
}
MeshCoord coord(const Config& c, int64_t ranks) { return mesh_coord(mesh_shape(c.model, c.parallel), ranks, 0); }
TrafficPlan traffic(const Config& c, int64_t ranks) { return plan_traffic(c, coord(c, ranks), 2, 4); }

// A ring's all-reduce of S bytes on 4 ranks sends 2 x 3/4 S: gradients take 4 x 2104 = 8416 bytes, the embedding's
// 1024.
TEST(Plan, GradientsOnTheWire) {
    const TrafficPlan t = traffic(small({}, 4), 4);
    EXPECT_EQ(t.wire.gradients, 12624);
    EXPECT_EQ(t.wire.last_gradients, 1536);
    EXPECT_EQ(t.wire.weights, 0);
    EXPECT_EQ(t.wire.data(), 12624);
    EXPECT_EQ(t.wire.world, 2 * 0.75 * 56);
}

// With zero a reduce-scatter of fp32 gradients, 3/4 x 8416, and an all-gather of bf16 weights, 3/4 x 4208: 6 bytes a
// parameter move, of which a rank hands in only 4 and its share of 2.
TEST(Plan, ZeroMovesSixBytesAParameter) {
    const TrafficPlan t = traffic(small({"parallel.zero=1"}, 4), 4);
    EXPECT_EQ(t.wire.gradients, 6312);
    EXPECT_EQ(t.wire.last_gradients, 768);
    EXPECT_EQ(t.wire.weights, 3156);
    EXPECT_EQ(t.wire.data(), 0.75 * 6 * 2104);
    EXPECT_EQ(t.data, 8416 + 2104 * 2 / 4);
}

// Tokens are 16 x 8 x 2 = 256 bytes; on two ranks an all-reduce sends 256. One each: embedding forward, every branch
// forward and backward (2 layers x 2 x 2), head backward: 10. The head exchanges 3 floats a token, 192 bytes of 384.
// Four micro-batches: 4 x (10 x 256 + 192). Then the gradients of four norms of heads, 4 floats each: 4 x 16.
TEST(Plan, TensorTrafficOnTheWire) {
    const TrafficPlan t = traffic(small({"parallel.tensor=2"}, 2), 2);
    EXPECT_EQ(t.wire.tensor, 4 * (10 * 256 + 192) + 64);
    EXPECT_EQ(t.wire.replicas, 0);
    EXPECT_EQ(t.wire.data() + t.wire.expert, 0);
}

// An all-gather or a reduce-scatter of the same tokens sends half of 256. Embedding 2, head 2, every branch 2 forward
// and 3 backward: 24 of them, where a rank hands in half of what an all-gather brings. Norms' gradients are sums too:
// five of 8 floats.
TEST(Plan, SequenceTrafficOnTheWire) {
    const TrafficPlan t = traffic(small({"parallel.tensor=2", "parallel.sequence=true"}, 2), 2);
    EXPECT_EQ(t.wire.tensor, 4 * (24 * 128 + 192) + 64 + 5 * 32);
    // Handed in: 10 reduce-scatters of 256 and 14 all-gathers of 128 a micro-batch.
    EXPECT_EQ(t.tensor, 4 * (10 * 256 + 14 * 128 + 192) + 64 + 5 * 32);
}

// Four tensor ranks hold two key-value heads: neighbours, two each, sum the gradients of key, value and key's norm.
TEST(Plan, ReplicasOnTheWire) {
    const TrafficPlan t = traffic(small({"parallel.tensor=4"}, 4), 4);
    const double key = 4 * 8 * 4;  // bytes of a head's map on a rank
    // key and value: all-reduces over 2 ranks; query_norm and key_norm over all 4, 1.5 x 16 bytes.
    EXPECT_EQ(t.wire.replicas, 2 * 2 * key);
    EXPECT_EQ(t.wire.tensor, 4 * (10 * 2 * 0.75 * 256 + 0.75 * 4 * 192) + 2 * 2 * 1.5 * 16);
}

// Matrices of the layers are 2 x 768 numbers. Of each, one of 4 ranks makes the new weights, 2 bytes each, and all
// gather them; with zero too, where all weights come so.
TEST(Plan, MuonGathersWhatOneRankUpdates) {
    const TrafficPlan t = traffic(small({"optimizer.kind=muon"}, 4), 4);
    EXPECT_EQ(t.wire.gradients, 12624);
    EXPECT_EQ(t.wire.weights, 0.75 * 1536 * 2);
    EXPECT_EQ(traffic(small({"optimizer.kind=muon", "parallel.zero=1"}, 4), 4).wire.weights, 3156);
}

// A tensor group gathers their updates, 4 bytes each; neighbours that hold the same head of key or value take the
// weights of the first: 32 numbers of 2 bytes, of which two ranks in a ring send half.
TEST(Plan, MuonGathersMatricesThatAreCut) {
    for (const int ranks : {2, 4}) {
        const std::string tensor = "parallel.tensor=" + std::to_string(ranks);
        const TrafficPlan adamw = traffic(small({tensor}, ranks), ranks);
        const TrafficPlan muon = traffic(small({tensor, "optimizer.kind=muon"}, ranks), ranks);
        const double copies = ranks == 4 ? 4 * 32 * 2 : 0;
        EXPECT_EQ(muon.wire.tensor - adamw.wire.tensor, 1536 * 4.0 * (ranks - 1) / ranks);
        EXPECT_EQ(muon.wire.replicas - adamw.wire.replicas, copies / 2);
        // Of key and value the first of two neighbours hands in a half, of all else each rank its part.
        const double handed = ranks == 4 ? 2 * (640 / 4 + 128 / 2) * 4 : 1536 / 2 * 4;
        EXPECT_EQ(muon.tensor - adamw.tensor, handed + copies);
    }
}

// 32 picks of a row of 16 bytes and a weight of 4, there and back but for the weight: 32 x (2 x 16 + 4) forward and as
// much backward, and 4 counts of 8 bytes. Of two ranks a half goes to the other. Recomputation sends forward again, in
// all layers but the last.
TEST(Plan, ExpertTrafficOnTheWire) {
    const std::vector<std::string> keys{"model.moe={experts: 4, top_k: 2, hidden: 8}", "parallel.expert=2"};
    EXPECT_EQ(traffic(small(keys, 2), 2).wire.expert, 2 * 2 * (2 * 1152 + 32) / 2);
    auto again = keys;
    again.push_back("train.recompute=ffn");
    EXPECT_EQ(traffic(small(again, 2), 2).wire.expert, 2 * (2 * (2 * 1152 + 32) + 1152 + 32) / 2);
    // On four ranks two hold the same two experts, 2 layers x 2 x 3 x 8 x 8 numbers.
    auto zero = keys;
    zero.push_back("parallel.zero=1");
    const TrafficPlan t = traffic(small(zero, 4), 4);
    EXPECT_EQ(t.wire.expert_gradients, 768 * 4 / 2);
    EXPECT_EQ(t.wire.expert_weights, 768 * 2 / 2);
    // Routers: in one micro-batch the counts of 4 experts of 2 layers, 2 x 3/4 of 64 bytes; at the end of the step they
    // stand behind its 7 sums.
    EXPECT_EQ(t.wire.picks, 1.5 * 64);
    EXPECT_EQ(t.wire.world, 1.5 * (7 + 8) * 8);
}

// A GPU with bf16 keeps 2 bytes a weight and 4 + 8 + 4 of masters, moments and gradients; with fp32 no masters.
TEST(Plan, BytesAParameterByPrecision) {
    const Config c = small({}, 1);
    const MemoryPlan bf16 = plan_memory(c, coord(c, 1), Storage::gpu_bf16);
    const double padded = double(bf16.weights) / 2;
    EXPECT_GE(padded, 2104);
    EXPECT_EQ(double(bf16.masters), 4 * padded);
    EXPECT_EQ(double(bf16.moments), 8 * padded);
    EXPECT_EQ(double(bf16.gradients), 4 * padded);
    const MemoryPlan fp32 = plan_memory(c, coord(c, 1), Storage::cpu);
    EXPECT_EQ(double(fp32.weights), 4 * padded);
    EXPECT_EQ(fp32.masters, 0);
    EXPECT_EQ(double(fp32.moments), 8 * padded);
}

// One state tensor in place of two. Scratch is what the largest matrix takes, 8 x 16: the update, its other half in the
// steps, and two squares of 8.
TEST(Plan, MuonKeepsOneStateTensor) {
    const Config c = small({"optimizer.kind=muon"}, 1), adamw = small({}, 1);
    const MemoryPlan plan = plan_memory(c, coord(c, 1), Storage::cpu);
    const MemoryPlan two = plan_memory(adamw, coord(adamw, 1), Storage::cpu);
    EXPECT_EQ(two.moments - plan.moments, 1536u * 4);
    EXPECT_EQ(plan.buffers - two.buffers, (128u + 128 + 2 * 64) * 4);
    EXPECT_EQ(plan.total(), two.total() - 1536 * 4 + 384 * 4);
}

// On 4 ranks with zero a rank keeps the momentum of some matrices: of 14, none larger than 128 numbers, 1536 in all.
TEST(Plan, MuonWithZeroKeepsAShareOfTheMatrices) {
    const Config c = small({"optimizer.kind=muon", "parallel.zero=1"}, 4), adamw = small({"parallel.zero=1"}, 4);
    const size_t muon = plan_memory(c, coord(c, 4), Storage::cpu).moments;
    const size_t two = plan_memory(adamw, coord(adamw, 4), Storage::cpu).moments;
    EXPECT_GE(two - muon, (1536 / 4 - 128) * 4u);
    EXPECT_LE(two - muon, 1536u / 4 * 4);
}

// Reserved is what one rank may get at worst, 2 picks of each of the group's 2 x 16 tokens; evenly loaded it gets 32
// rows. Of each row a layer keeps x (8), gate, up and product (8 each), a weight, and where it stood.
TEST(Plan, ExpertsEvenlyLoadedNeedLess) {
    const Config c = small({"model.moe={experts: 4, top_k: 2, hidden: 8}", "parallel.expert=2"}, 2);
    MeshCoord even = coord(c, 2);
    const MemoryPlan worst = plan_memory(c, even, Storage::cpu);
    even.even_load = true;
    const MemoryPlan balanced = plan_memory(c, even, Storage::cpu);
    EXPECT_EQ(worst.ffn - balanced.ffn, 2u * 32 * (4 * 8 + 1 + 1) * 4);
    EXPECT_EQ(worst.attention, balanced.attention);
    EXPECT_EQ(worst.weights, balanced.weights);
    EXPECT_GT(worst.buffers, balanced.buffers);
    // With every expert here there is nothing to choose.
    const Config all = small({"model.moe={experts: 4, top_k: 2, hidden: 8}"}, 2);
    MeshCoord same = coord(all, 2);
    same.even_load = true;
    EXPECT_EQ(plan_memory(all, same, Storage::cpu).total(), plan_memory(all, coord(all, 2), Storage::cpu).total());
}

// ---------------------------------------------------------------- checkpoints
int64_t tensor_bytes(const std::filesystem::path& folder) {
    int64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() != ".safetensors") continue;
        uint64_t header = 0;
        std::ifstream(entry.path(), std::ios::binary).read(reinterpret_cast<char*>(&header), sizeof header);
        bytes += int64_t(std::filesystem::file_size(entry.path())) - int64_t(sizeof header + header);
    }
    return bytes;
}

TEST(Plan, BytesOfACheckpointAreThoseOfItsFiles) {
    // Weights and two moments of 4 bytes.
    EXPECT_EQ(checkpoint_bytes(small({}, 1).model, {}), 2104 * 12);
    EXPECT_EQ(checkpoint_bytes(small({}, 1).model, small({"optimizer.kind=muon"}, 1).optimizer), 2104 * 12 - 1536 * 4);
    for (const auto& keys : std::vector<std::vector<std::string>>{
             {},
             {"parallel.zero=1", "model.tie_embeddings=true"},
             {"parallel.tensor=2", "model.gates=[{position: sdpa, bias: true}]"},
             {"optimizer.kind=muon", "parallel.zero=1"},
             {"optimizer.kind=muon", "parallel.expert=2", "model.moe={experts: 4, top_k: 2, hidden: 8}"},
             {"parallel.expert=2", "model.moe={experts: 4, top_k: 2, hidden: 8, shared_hidden: 4, balance: bias}"}}) {
        auto all = keys;
        all.insert(all.end(), {"train.steps=1", "optimizer.lr=0.01"});
        const Config config = small(all, 2);
        const Folder folder;
        run_threads(2, [&](Comm& comm) {
            Mesh mesh(comm, mesh_shape(config.model, config.parallel));
            Trainer<Cpu<float>> trainer(config, mesh);
            CheckpointWriter writer(folder.path(), false, 0);
            CheckpointInfo info;
            info.step = 1;
            writer.begin(comm, info, trainer.state());
            writer.finish(comm);
        });
        EXPECT_EQ(checkpoint_bytes(config.model, config.optimizer), tensor_bytes(folder / step_name(1)))
            << (keys.empty() ? "plain" : keys[0]);
    }
}

}  // namespace
}  // namespace sluice
