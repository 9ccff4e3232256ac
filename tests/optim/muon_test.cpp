// Muon: which tensors it has, how they are dealt out, and ten steps against PyTorch (tests/golden/make_muon.py).
#include "optim/muon.h"

#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/safetensors.h"
#include "config/load.h"
#include "support/folder.h"
#include "support/models.h"
#include "support/oracle.h"
#include "train/step.h"

namespace sluice {
namespace {

Config config_of(std::vector<std::string> keys) {
    const std::vector<std::string> common{"model.layers=2",      "model.hidden=8",  "model.heads=4",
                                          "model.kv_heads=2",    "model.vocab=11",  "data.sequence_length=4",
                                          "train.batch=2",       "train.steps=9",   "model.sandwich_norm=true",
                                          "optimizer.kind=muon", "optimizer.lr=0.1"};
    keys.insert(keys.begin(), common.begin(), common.end());
    return load_config_text("", "test", keys, Purpose::plan).config;
}
const Config kMixture = config_of(
    {"model.moe={experts: 4, top_k: 2, hidden: 8, shared_hidden: 4, balance: bias}",
     "model.switch_heads={target: v, experts: 3, top_k: 1}",
     "model.gates=[{position: sdpa, bias: true}, {position: output, input: none}, {position: query, input: none}]"});

TEST(Muon, HasTheMatricesOfTheLayersButRouters) {
    std::vector<std::string> muon, matrices_of_adamw;
    for (const TensorInfo& t : Model<PlannedFp32>::tensors(kMixture.model)) {
        if (kind_of(t, kMixture.optimizer) == OptimizerKind::muon)
            muon.push_back(t.name);
        else if (t.shape.size() > 1)
            matrices_of_adamw.push_back(t.name);
    }
    std::vector<std::string> expected;
    for (const std::string layer : {"layers.0.", "layers.1."})
        for (const char* name :
             {"attention.query.weight", "attention.key.weight", "attention.value.experts.weight",
              "attention.output.weight", "attention.gates.0.weight", "moe.experts.gate.weight", "moe.experts.up.weight",
              "moe.experts.down.weight", "moe.shared.gate.weight", "moe.shared.up.weight", "moe.shared.down.weight"})
            expected.push_back(layer + name);
    std::sort(muon.begin(), muon.end());
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(muon, expected);
    for (const auto& name : matrices_of_adamw)
        EXPECT_TRUE(name == "embedding.weight" || name == "head.weight" || name.ends_with("router.weight") ||
                    name.ends_with(".constant"))
            << name;
    OptimizerSpec adamw;
    for (const TensorInfo& t : Model<PlannedFp32>::tensors(kMixture.model))
        EXPECT_EQ(kind_of(t, adamw), OptimizerKind::adamw);
}

TEST(Muon, ACheckpointNamesTheOptimizerOfATensor) {
    Trainer<Cpu<double>> trainer(kMixture, solo_mesh());
    std::map<std::string, std::string> prefixes;  // of each weight
    for (const StateTensor& t : trainer.state())
        if (const size_t at = t.name.find('/'); at != std::string::npos)
            prefixes[t.name.substr(at + 1)] += t.name.substr(0, at + 1);
    for (const TensorInfo& t : trainer.model().tensors()) {
        const bool muon = kind_of(t, kMixture.optimizer) == OptimizerKind::muon;
        EXPECT_EQ(prefixes[t.name], !t.trained() ? "" : muon ? "muon.m/" : "adam.m/adam.v/") << t.name;
    }
}

// With zero every matrix lies whole on one rank, and no rank has much more than its share.
TEST(Muon, MatricesAreDealtOutWhole) {
    const Config config = config_of({"model.ffn.hidden=12", "parallel.zero=1"});
    const auto tensors = Model<PlannedFp32>::tensors(config.model);
    for (const int64_t ranks : {1, 2, 3, 4}) {
        std::vector<int64_t> elements(size_t(ranks), 0);
        std::vector<int64_t> owners(tensors.size(), 0);
        int64_t capacity = -1, largest = 0, all = 0;
        for (int64_t rank = 0; rank < ranks; rank++) {
            const OptimizerShards shards(tensors, mesh_coord({}, ranks, rank), true, config.optimizer);
            if (capacity < 0) capacity = shards.state_capacity();
            EXPECT_EQ(shards.state_capacity(), capacity) << "ranks differ in what they allocate";
            for (size_t i = 0; i < tensors.size(); i++) {
                if (kind_of(tensors[i], config.optimizer) != OptimizerKind::muon) continue;
                EXPECT_TRUE(shards[i].count == 0 || shards[i].count == tensors[i].count);
                owners[i] += shards[i].count > 0;
                elements[size_t(rank)] += shards[i].count;
                EXPECT_LE(shards[i].state + shards[i].count, shards.state_capacity());
                largest = std::max(largest, tensors[i].count);
                all += rank == 0 ? tensors[i].count : 0;
            }
        }
        for (size_t i = 0; i < tensors.size(); i++)
            EXPECT_EQ(owners[i], kind_of(tensors[i], config.optimizer) == OptimizerKind::muon) << tensors[i].name;
        for (const int64_t n : elements) EXPECT_LE(n, all / ranks + largest);
    }
}

// ---------------------------------------------------------------- resuming
using Bits = std::vector<float>;  // of all ranks' weights and state

Bits bits_after(const Config& config, int steps, const std::filesystem::path& from, const std::filesystem::path& to) {
    std::vector<Bits> by_rank(4);
    run_threads(4, [&](Comm& comm) {
        Mesh mesh(comm, mesh_shape(config.model, config.parallel));
        Trainer<Cpu<float>> trainer(config, mesh);
        if (!from.empty()) {
            const Checkpoint checkpoint = open_checkpoint(from);
            load_checkpoint(checkpoint, trainer.state(), false);
            trainer.restore({checkpoint.info.step, checkpoint.info.updates, 0, 0}, checkpoint.info.samples);
        }
        for (int s = 0; s < steps; s++)
            trainer.step([](int64_t n, int32_t* tokens, int32_t*) {
                for (int64_t t = 0; t <= 4; t++) tokens[t] = int32_t((5 * n + t * t) % 11);
            });
        for (const StateTensor& t : trainer.state()) {
            const auto* data = static_cast<const float*>(t.data);
            auto& bits = by_rank[size_t(comm.rank())];
            bits.insert(bits.end(), data, data + volume(t.box.shape));
        }
        if (to.empty()) return;
        CheckpointWriter writer(to, false, 0);
        CheckpointInfo info;
        info.step = info.updates = steps;
        info.samples = trainer.consumed_samples();
        writer.begin(comm, info, trainer.state());
        writer.finish(comm);
    });
    Bits all;
    for (const Bits& bits : by_rank) all.insert(all.end(), bits.begin(), bits.end());
    return all;
}

TEST(Muon, AResumedRunIsTheUninterruptedOneBitForBit) {
    for (const char* zero : {"parallel.zero=0", "parallel.zero=1"}) {
        Config config = config_of({"model.ffn.hidden=12", "model.gates=[{position: query, heads: shared}]",
                                   "train.batch=4", "train.micro_batch=1", "parallel.tensor=2", zero});
        resolve_ranks(config, 4);
        const Folder folder;
        bits_after(config, 3, {}, folder.path());
        EXPECT_EQ(bits_after(config, 3, folder / step_name(3), {}), bits_after(config, 6, {}, {})) << zero;
    }
}

// Replicas stay the same bits: of each weight on every rank that holds it.
TEST(Muon, RanksThatHoldTheSameHaveTheSameBits) {
    for (const char* tensor : {"parallel.tensor=1", "parallel.tensor=2", "parallel.tensor=4"}) {
        Config config = config_of({"model.ffn.hidden=12", "model.gates=[{position: query, heads: shared}]",
                                   "train.batch=4", "train.micro_batch=1", tensor});
        resolve_ranks(config, 4);
        std::mutex mutex;
        std::map<std::string, Bits> held;  // by name and where it begins
        run_threads(4, [&](Comm& comm) {
            Mesh mesh(comm, mesh_shape(config.model, config.parallel));
            Trainer<Cpu<float>> trainer(config, mesh);
            for (int s = 0; s < 3; s++)
                trainer.step([](int64_t n, int32_t* tokens, int32_t*) {
                    for (int64_t t = 0; t <= 4; t++) tokens[t] = int32_t((5 * n + t * t) % 11);
                });
            std::lock_guard lock(mutex);
            for (const TensorInfo& t : trainer.model().tensors()) {
                std::string key = t.name;
                for (const int64_t start : t.box.start) key += "," + std::to_string(start);
                const float* w = values_of(trainer.model(), t);
                const auto at = held.try_emplace(key, w, w + t.count).first;
                EXPECT_EQ(at->second, Bits(w, w + t.count)) << key << ", rank " << comm.rank();
            }
        });
    }
}

// ---------------------------------------------------------------- PyTorch
std::vector<double> read(const SafetensorsFile& file, const std::string& name) {
    const auto& entry = file.at(name);
    std::vector<double> values(entry.bytes / sizeof(double));
    file.read(entry, values.data(), entry.bytes);
    return values;
}

TEST(Muon, TenStepsAsInPyTorch) {
    const SafetensorsFile file(SLUICE_SOURCE_DIR "/tests/golden/steps/muon.safetensors");
    Config config = load_config_text(file.metadata().at("config"), "muon", {}, Purpose::plan).config;
    resolve_ranks(config, 1);
    const int64_t length = config.data.sequence_length;
    std::vector<int64_t> tokens(file.at("tokens").bytes / sizeof(int64_t));
    file.read(file.at("tokens"), tokens.data(), file.at("tokens").bytes);
    Trainer<Cpu<double>> trainer(config, solo_mesh());
    for (const TensorInfo& t : trainer.model().tensors()) {
        ASSERT_EQ(file.at(t.name).shape, t.shape) << t.name;
        const auto values = read(file, t.name);
        std::copy(values.begin(), values.end(), values_of(trainer.model(), t));
    }
    const auto losses = read(file, "losses"), norms = read(file, "norms");
    ASSERT_EQ(losses.size(), 10u);
    for (size_t s = 0; s < losses.size(); s++) {
        const StepResult result = trainer.step([&](int64_t n, int32_t* sample, int32_t*) {
            for (int64_t t = 0; t <= length; t++) sample[t] = int32_t(tokens[size_t(n * (length + 1) + t)]);
        });
        EXPECT_NEAR(result.loss, losses[s], tolerance<double>() * losses[s]) << "step " << s + 1;
        EXPECT_NEAR(result.grad_norm, norms[s], tolerance<double>() * norms[s]) << "step " << s + 1;
    }
    size_t expected = 3 + trainer.model().tensors().size();
    for (const StateTensor& t : trainer.state()) {
        const auto* data = static_cast<const double*>(t.data);
        EXPECT_LT(relative_error(std::vector(data, data + volume(t.shape)), read(file, "last/" + t.name)),
                  tolerance<double>())
            << t.name;
        expected++;
    }
    EXPECT_EQ(file.tensors().size(), expected) << "state that PyTorch has, and this not";
}

}  // namespace
}  // namespace sluice
