// Every mesh against one rank, in double over threads: losses, gradients, ten optimizer steps, and checkpoints from any
// mesh to any other.
#include "parallel/mesh.h"

#include <gtest/gtest.h>

#include <mutex>

#include "base/rng.h"
#include "checkpoint/checkpoint_writer.h"
#include "config/load.h"
#include "plan/plan.h"
#include "support/collected.h"
#include "support/folder.h"
#include "support/models.h"
#include "support/sanitizers.h"

namespace sluice {
namespace {

constexpr double kMeshTolerance = 1e-10;
constexpr int64_t kLength = 6, kVocab = 13, kSteps = 10;

struct MeshCase {
    const char* name;
    int ranks;
    std::vector<std::string> keys;
    bool needs_experts;
};
const std::vector<MeshCase> kMeshes{
    {"dp2", 2, {}, false},
    {"tp2", 2, {"parallel.tensor=2"}, false},
    {"tp4", 4, {"parallel.tensor=4"}, false},
    {"tp2 sequence", 2, {"parallel.tensor=2", "parallel.sequence=true"}, false},
    {"tp4 sequence", 4, {"parallel.tensor=4", "parallel.sequence=true"}, false},
    {"ep2", 2, {"parallel.expert=2"}, true},
    {"ep4", 4, {"parallel.expert=4"}, true},
    {"dp2 x tp2", 4, {"parallel.tensor=2"}, false},
    {"dp2 x tp2, ep2", 4, {"parallel.tensor=2", "parallel.expert=2"}, true},
    {"zero, dp4", 4, {"parallel.zero=1"}, false},
    {"zero, dp2 x tp2 sequence", 4, {"parallel.zero=1", "parallel.tensor=2", "parallel.sequence=true"}, false},
    {"zero, dp4 x tp2 sequence, ep2",
     8,
     {"parallel.zero=1", "parallel.tensor=2", "parallel.sequence=true", "parallel.expert=2"},
     true},
};

const std::vector<std::string> kExpertKeys{"model.moe={experts: 4, top_k: 2, hidden: 8, shared_hidden: 4}"};
struct ModelCase {
    const char* name;
    std::vector<std::string> keys;
};
const std::vector<ModelCase> kDense{
    {"plain", {}},
    {"elementwise gates",
     {"model.gates=[{position: query, bias: true}, {position: key, combine: add, activation: silu}, {position: value, "
      "bias: true}, {position: sdpa}, {position: output, bias: true}, {position: sdpa, activation: silu}]"}},
    {"headwise gates",
     {"model.qk_norm=false",
      "model.gates=[{position: query, granularity: headwise}, {position: key, granularity: headwise, bias: true}, "
      "{position: value, granularity: headwise, bias: true}, {position: sdpa, granularity: headwise, activation: "
      "ns_sigmoid}]"}},
    {"shared gates",
     {"model.gates=[{position: query, heads: shared}, {position: key, heads: shared, bias: true}, {position: value, "
      "heads: shared, granularity: headwise}, {position: sdpa, heads: shared, bias: true, combine: add}]"}},
    {"averaged gates",
     {"model.gates=[{position: query, heads: averaged}, {position: key, heads: averaged, bias: true}, {position: "
      "value, heads: averaged, granularity: headwise, bias: true}, {position: sdpa, heads: averaged, bias: true}]"}},
    {"constants",
     {"model.gates=[{position: query, input: none}, {position: key, input: none, heads: shared}, {position: value, "
      "input: none, granularity: headwise}, {position: sdpa, input: none, granularity: headwise, heads: shared}, "
      "{position: output, input: none}, {position: value, input: none}]"}},
    {"gates of few channels",
     {"model.gates=[{position: query, input_width: 3}, {position: key, input_width: 5, bias: true}, {position: value, "
      "input_width: 1, heads: shared}, {position: sdpa, input_width: 4, heads: averaged}, {position: output, "
      "input_width: 7}]"}},
    {"gates of low rank",
     {"model.gates=[{position: query, rank: 3}, {position: key, rank: 2, rank_activation: silu}, {position: value, "
      "rank: 3, heads: shared, input_width: 5}, {position: sdpa, rank: 5, rank_activation: silu, heads: averaged}, "
      "{position: output, rank: 3, rank_activation: silu, input_width: 3}]",
      "train.recompute=attention"}},
    {"norms, clip, tied",
     {"model.tie_embeddings=true", "model.sandwich_norm=true", "model.residual_clip=1.5",
      "model.attention={sdpa_norm: rmsnorm, sdpa_activation: silu, window: 3}"}},
    {"switch heads", {"model.switch_heads={target: kv, experts: 3, top_k: 2}", "model.gates=[{position: value}]"}},
    {"rela",
     {"model.attention={kind: rela}", "model.norm_eps=0.01", "model.gates=[{position: key}, {position: output}]"}},
    {"rela, gated",
     {"model.attention={kind: rela, rela_gate: true, window: 4, sdpa_norm: rmsnorm}", "model.norm_eps=0.01",
      "train.recompute=attention", "model.gates=[{position: sdpa, heads: averaged}]"}},
    {"a local layer and a layer of rela",
     {"model.attention={0: {window: 2}, 1: {kind: rela, rela_gate: true}}", "model.norm_eps=0.01"}},
    {"recompute", {"train.recompute=block", "model.gates=[{position: output}, {position: sdpa}]"}},
};
const std::vector<ModelCase> kMixtures{
    {"experts", {kExpertKeys[0], "model.gates=[{position: sdpa}]"}},
    {"experts, weights as they are",
     {kExpertKeys[0], "model.moe.norm_top_k=false", "model.moe.shared_hidden=0", "model.moe.balance_coef=0.5",
      "model.moe.z_coef=0.1", "model.sandwich_norm=true"}},
    {"experts, biases", {kExpertKeys[0], "model.moe.balance=bias", "model.moe.bias_rate=0.05", "train.recompute=ffn"}},
    {"experts, none", {kExpertKeys[0], "model.moe.balance=none", "model.moe.top_k=4"}},
};

// Muon: matrices that the tensor group cuts by rows and by columns, and wider and taller ones; heads that neighbours
// hold both; gates whole on every rank; several matrices a tensor.
const std::string kMuon = "optimizer={kind: muon, lr: 0.01, momentum: 0.9, weight_decay: 0.2, grad_clip: 0.7}";
const std::vector<ModelCase> kMuonDense{
    {"muon, gates",
     {kMuon,
      "model.gates=[{position: sdpa}, {position: key}, {position: query, heads: shared}, {position: output, bias: "
      "true}]"}},
    {"muon, gates of low rank",
     {kMuon,
      "model.gates=[{position: sdpa, rank: 3}, {position: key, input_width: 3}, {position: value, rank: 5, heads: "
      "shared}, {position: output, rank: 2, rank_activation: silu}]"}},
    {"muon, switch heads", {kMuon, "model.switch_heads={target: kv, experts: 3, top_k: 2}", "model.ffn.hidden=20"}},
};
const std::vector<ModelCase> kMuonMixtures{
    {"muon, experts", {kExpertKeys[0], kMuon}},
    {"muon, many experts", {"model.moe={experts: 8, top_k: 2, hidden: 20, balance: bias}", kMuon}},
};

Config config_of(const ModelCase& model, const MeshCase& mesh) {
    std::vector<std::string> keys{
        "model.layers=2",         "model.hidden=12",    "model.heads=4",
        "model.kv_heads=2",       "model.head_dim=4",   "model.vocab=" + std::to_string(kVocab),
        "model.ffn.hidden=8",     "model.init_std=0.3", "data.sequence_length=" + std::to_string(kLength),
        "train.batch=8",          "train.steps=20",     "optimizer.lr=0.01",
        "schedule.warmup_steps=2"};
    keys.insert(keys.end(), model.keys.begin(), model.keys.end());
    keys.insert(keys.end(), mesh.keys.begin(), mesh.keys.end());
    Config config = load_config_text("", "test", keys, Purpose::plan).config;
    config.train.micro_batch = 4 / data_ranks_of(config, mesh.ranks);  // two micro-batches a step, on every mesh
    resolve_ranks(config, mesh.ranks);
    return config;
}

void samples(int64_t n, int32_t* tokens, int32_t*) {
    for (int64_t t = 0; t <= kLength; t++) tokens[t] = int32_t(mix(uint64_t(n), uint64_t(t)) % uint64_t(kVocab));
}

struct MeshRun {
    std::vector<StepResult> steps;
    WholeTensors first, last;  // after the first step, and the last
};

using Prepare = std::function<void(Trainer<Cpu<double>>&)>;
MeshRun run(const ModelCase& model, const MeshCase& mesh_case, const Prepare& prepare = {}) {
    const Config config = config_of(model, mesh_case);
    MeshRun course;
    Collected first, last;
    run_threads(mesh_case.ranks, [&](Comm& comm) {
        Mesh mesh(comm, mesh_shape(config.model, config.parallel));
        Trainer<Cpu<double>> trainer(config, mesh);
        if (prepare) prepare(trainer);
        for (int64_t s = 0; s < kSteps; s++) {
            const StepResult result = trainer.step(samples);
            if (comm.rank() == 0) course.steps.push_back(result);
            if (s == 0) first.add(trainer);
        }
        last.add(trainer);
    });
    first.expect_once();
    course.first = first.state;
    course.last = last.state;
    return course;
}

void expect_near(double x, double reference, const char* what, size_t step) {
    EXPECT_LE(std::abs(x - reference), kMeshTolerance * std::abs(reference)) << what << " of step " << step + 1;
}
void expect_near(const WholeTensors& x, const WholeTensors& reference) {
    ASSERT_EQ(x.size(), reference.size());
    for (const auto& [name, values] : reference) EXPECT_LT(relative_error(x.at(name), values), kMeshTolerance) << name;
}

// After a step the first moment is the gradient (clipped alike): so its tensors hold every gradient.
void hold(const MeshRun& many, const MeshRun& one) {
    ASSERT_EQ(many.steps.size(), one.steps.size());
    for (size_t s = 0; s < one.steps.size(); s++) {
        expect_near(many.steps[s].loss, one.steps[s].loss, "loss", s);
        expect_near(many.steps[s].grad_norm, one.steps[s].grad_norm, "gradient norm", s);
        ASSERT_EQ(many.steps[s].routing.has_value(), one.steps[s].routing.has_value());
        if (!one.steps[s].routing) continue;
        expect_near(many.steps[s].routing->balance, one.steps[s].routing->balance, "balance", s);
        expect_near(many.steps[s].routing->z, one.steps[s].routing->z, "z", s);
        expect_near(many.steps[s].routing->entropy, one.steps[s].routing->entropy, "entropy", s);
        EXPECT_EQ(many.steps[s].routing->load, one.steps[s].routing->load);
    }
    expect_near(many.first, one.first);
    expect_near(many.last, one.last);
}

const MeshCase kOne{"one rank", 1, {}, false};

void hold_on_every_mesh(const ModelCase& model, bool experts, const Prepare& prepare = {}) {
    SCOPED_TRACE(model.name);
    const MeshRun one = run(model, kOne, prepare);
    EXPECT_LT(one.steps.back().loss, one.steps.front().loss * 1.2);
    for (const MeshCase& mesh : kMeshes) {
        if (mesh.needs_experts && !experts) continue;
        SCOPED_TRACE(mesh.name);
        hold(run(model, mesh, prepare), one);
    }
}

TEST(Mesh, DenseModelsAgreeWithOneRank) {
    for (const ModelCase& model : kDense) hold_on_every_mesh(model, false);
}

TEST(Mesh, MixturesAgreeWithOneRank) {
    for (const ModelCase& model : kMixtures) hold_on_every_mesh(model, true);
}

TEST(Mesh, MuonAgreesWithOneRank) {
    for (const ModelCase& model : kMuonDense) hold_on_every_mesh(model, false);
    for (const ModelCase& model : kMuonMixtures) hold_on_every_mesh(model, true);
}

// Biases that send every token to expert 1, and none to expert 2.
TEST(Mesh, UnevenExpertsAgreeWithOneRank) {
    const Prepare prepare = [](Trainer<Cpu<double>>& trainer) {
        for (const TensorInfo& t : trainer.model().tensors())
            if (t.name.ends_with("router.bias")) {
                values_of(trainer.model(), t)[1] = 10;
                values_of(trainer.model(), t)[2] = -10;
            }
    };
    for (const char* top_k : {"model.moe.top_k=1", "model.moe.top_k=3"})
        hold_on_every_mesh({top_k, {kExpertKeys[0], top_k, "model.moe.balance=bias", "model.moe.norm_top_k=false"}},
                           true, prepare);
}

// Each rank balances its own micro-batch: on one data-parallel rank that is the whole.
TEST(Mesh, BalanceOfTheMicroBatch) {
    const ModelCase model{"micro_batch",
                          {kExpertKeys[0], "model.moe.balance=micro_batch", "model.moe.balance_coef=0.3"}};
    const MeshRun one = run(model, kOne);
    for (const MeshCase& mesh : kMeshes)
        if (data_ranks_of(config_of(model, mesh), mesh.ranks) == 1) {
            SCOPED_TRACE(mesh.name);
            hold(run(model, mesh), one);
        }
}

TEST(Mesh, OneMeshGivesTheSameBits) {
    const MeshCase& mesh = kMeshes.back();
    const MeshRun a = run(kMixtures[0], mesh), b = run(kMixtures[0], mesh);
    EXPECT_EQ(a.last, b.last);
}

// ---------------------------------------------------------------- plans
// Collectives of a mesh, by the plan's groups.
TrafficPlan counted(const Mesh& mesh) {
    TrafficPlan t;
    t.data = double(mesh.data->bytes());
    t.expert_data = double(mesh.expert_data->bytes());
    t.tensor = double(mesh.tensor->bytes() + mesh.replicas->bytes() + mesh.sequence->bytes() + mesh.hidden->bytes());
    t.expert = double(mesh.expert->bytes());
    t.world = double(mesh.world.bytes());
    return t;
}

std::vector<ModelCase> with_muon(bool experts) {
    std::vector<ModelCase> all = experts ? kMixtures : kDense;
    const auto& muon = experts ? kMuonMixtures : kMuonDense;
    all.insert(all.end(), muon.begin(), muon.end());
    return all;
}

TEST(Mesh, MemoryAndTrafficAreAsPlanned) {
    for (const bool experts : {false, true})
        for (const ModelCase& model : with_muon(experts))
            for (const MeshCase& mesh_case : kMeshes)
                for (const auto& [word, policy] : EnumNames<Recompute>::all) {
                    if (mesh_case.needs_experts && !experts) continue;
                    SCOPED_TRACE(std::string(model.name) + ", " + mesh_case.name + ", recompute " + word);
                    Config config = config_of(model, mesh_case);
                    config.train.recompute = policy;
                    std::mutex mutex;
                    double expert_bytes = 0, planned_expert_bytes = 0;  // vary by rank: their sum does not
                    run_threads(mesh_case.ranks, [&](Comm& comm) {
                        Mesh mesh(comm, mesh_shape(config.model, config.parallel));
                        Trainer<Cpu<float>> trainer(config, mesh);
                        const MemoryPlan memory = plan_memory(config, mesh.coord, Storage::cpu);
                        const ModelBytes real = trainer.model().bytes();
                        const TrafficPlan before = counted(mesh);
                        trainer.step(samples);
                        const TrafficPlan after = counted(mesh), t = plan_traffic(config, mesh.coord, 4, 4);
                        std::lock_guard lock(mutex);
                        EXPECT_EQ(memory.total(), trainer.bytes());
                        EXPECT_EQ(memory.weights, real.weights);
                        EXPECT_EQ(memory.gradients, real.gradients);
                        EXPECT_EQ(memory.attention, real.attention);
                        EXPECT_EQ(memory.ffn, real.ffn);
                        EXPECT_EQ(memory.residual, real.residual);
                        EXPECT_EQ(memory.moments + memory.buffers - real.scratch, trainer.optimizer_bytes());
                        EXPECT_EQ(after.data - before.data, t.data);
                        EXPECT_EQ(after.expert_data - before.expert_data, t.expert_data);
                        EXPECT_EQ(after.tensor - before.tensor, t.tensor);
                        EXPECT_EQ(after.world - before.world, t.world);
                        expert_bytes += after.expert - before.expert;
                        planned_expert_bytes += t.expert;
                    });
                    EXPECT_EQ(expert_bytes, planned_expert_bytes);
                }
}

// ---------------------------------------------------------------- checkpoints
// Four steps, a checkpoint, and what comes next.
struct Resumed {
    std::string digest;
    std::vector<double> losses;
    Collected state;
};

void save_after_four_steps(const ModelCase& model, const MeshCase& mesh_case, const std::filesystem::path& folder) {
    const Config config = config_of(model, mesh_case);
    run_threads(mesh_case.ranks, [&](Comm& comm) {
        Mesh mesh(comm, mesh_shape(config.model, config.parallel));
        Trainer<Cpu<double>> trainer(config, mesh);
        for (int s = 0; s < 4; s++) trainer.step(samples);
        CheckpointWriter writer(folder, false, 0);
        CheckpointInfo info;
        info.step = 4;
        info.updates = 4;
        info.samples = trainer.consumed_samples();
        writer.begin(comm, info, trainer.state());
        writer.finish(comm);
    });
}

void resume(Resumed& out, const ModelCase& model, const MeshCase& mesh_case, const std::filesystem::path& folder,
            const std::filesystem::path& again) {
    const Config config = config_of(model, mesh_case);
    run_threads(mesh_case.ranks, [&](Comm& comm) {
        Mesh mesh(comm, mesh_shape(config.model, config.parallel));
        Trainer<Cpu<double>> trainer(config, mesh);
        const Checkpoint from = open_checkpoint(folder / step_name(4));
        load_checkpoint(from, trainer.state(), false);
        trainer.restore({4, 4, 0, 0}, from.info.samples);
        CheckpointWriter writer(again, false, 0);
        CheckpointInfo info = from.info;
        writer.begin(comm, info, trainer.state());
        writer.finish(comm);
        comm.barrier();
        out.state.add(trainer);
        for (int s = 0; s < 2; s++) {
            const double loss = trainer.step(samples).loss;
            if (comm.rank() == 0) out.losses.push_back(loss);
        }
    });
    out.digest = open_checkpoint(again / step_name(4)).info.digest;
}

constexpr size_t kReaders = kSanitized ? 1 : 100;  // at most, meshes that read what one wrote

std::vector<MeshCase> meshes_for(bool experts) {
    std::vector<MeshCase> meshes;
    for (const MeshCase& mesh : kMeshes)
        if (experts || !mesh.needs_experts) meshes.push_back(mesh);
    return meshes;
}

// The state must be the very same, what follows the same to rounding.
TEST(Mesh, AnyMeshResumesWhatAnyMeshWrote) {
    for (const ModelCase& model :
         {kMixtures[2], kMuonMixtures[0], kMuonDense[0],
          ModelCase{"gates",
                    {"model.gates=[{position: value, bias: true}, {position: key, heads: shared}, "
                     "{position: sdpa, input: none}]"}}}) {
        SCOPED_TRACE(model.name);
        const MeshRun uninterrupted = run(model, kOne);
        const std::vector<MeshCase> meshes = meshes_for(model.keys[0] == kExpertKeys[0]);
        for (size_t w = 0; w < meshes.size(); w++) {
            SCOPED_TRACE(std::string("written on ") + meshes[w].name);
            const Folder folder;
            save_after_four_steps(model, meshes[w], folder.path());
            const std::string digest = open_checkpoint(folder / step_name(4)).info.digest;
            for (size_t r = 1; r <= std::min(kReaders, meshes.size()); r++) {
                const MeshCase& reader = meshes[(w + r) % meshes.size()];
                SCOPED_TRACE(std::string("resumed on ") + reader.name);
                const Folder again;
                Resumed resumed;
                resume(resumed, model, reader, folder.path(), again.path());
                EXPECT_EQ(resumed.digest, digest);
                for (size_t s = 0; s < resumed.losses.size(); s++)
                    expect_near(resumed.losses[s], uninterrupted.steps[s + 4].loss, "loss", s + 4);
            }
        }
    }
}

}  // namespace
}  // namespace sluice
