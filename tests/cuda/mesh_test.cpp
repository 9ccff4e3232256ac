// Meshes whose ranks are threads, on Cuda<float> and Cuda<bf16> as the emulator runs them, against one rank: losses,
// norms, gradients. Their groups pass through the host, or are NCCL's.
#include <cmath>
#include <limits>

#include "cuda/small.h"
#include "kernels/emu/emu.h"
#include "support/collected.h"
#include "support/oracle.h"
#include "support/sanitizers.h"

namespace sluice {
namespace {

template <class B>
constexpr bool kBf16 = std::is_same_v<typename B::T, bf16>;
template <class B>
constexpr double kTolerance = kBf16<B> ? 1.0 / 128 : 5e-6;
constexpr int64_t kSteps = kSanitized ? 1 : 2;

const Keys kGates{
    "model.gates=[{position: query, heads: shared}, {position: key}, {position: value, granularity: headwise, bias: "
    "true}, {position: sdpa, heads: averaged}, {position: output, bias: true}]"};
const Keys kMaps{
    "model.gates=[{position: query, input_width: 5}, {position: key, rank: 3, rank_activation: silu}, {position: "
    "value, "
    "heads: shared, rank: 2}, {position: sdpa, heads: averaged, input_width: 8, rank: 4}, {position: output, rank: "
    "3}]"};
const Keys kSwitchHeads{"model.switch_heads={target: kv, experts: 3, top_k: 2}"};
const Keys kRela{"model.attention={kind: rela, rela_gate: true, sdpa_norm: rmsnorm}", "model.norm_eps=0.01"};
const Keys kMuon{"optimizer={kind: muon, lr: 0.01, momentum: 0.9}"};
const Keys kExperts{"model.moe={experts: 4, top_k: 2, hidden: 24, shared_hidden: 16}"};
const Keys kTensor{"parallel.tensor=2"}, kSequence{"parallel.tensor=2", "parallel.sequence=true"},
    kZero{"parallel.zero=1"}, kExpert{"parallel.expert=2"};
const Keys kStaged{"parallel.communicator=staged"}, kNccl{"parallel.communicator=nccl"};

struct Course {
    std::vector<StepResult> steps;
    WholeTensors first;  // after the first step
};
template <class B>
Course run(const Keys& keys, int ranks) {
    Config config = small_config(keys);
    config.train.micro_batch = 2 / data_ranks_of(config, ranks);
    Course course;
    Collected first;
    train_on<B>(ranks, config, [&](Trainer<B>& trainer, Comm& comm) {
        for (int64_t s = 0; s < kSteps; s++) {
            const StepResult result = trainer.step(small_samples);
            if (comm.rank() == 0) course.steps.push_back(result);
            if (s == 0) first.add(trainer);
        }
    });
    first.expect_once();
    course.first = first.state;
    return course;
}

template <class B>
void expect_near(double x, double reference, const char* what, size_t step) {
    EXPECT_LE(std::abs(x - reference), kTolerance<B> * std::abs(reference)) << what << " of step " << step + 1;
}

// After a step the first moment is the gradient, so that the state holds every gradient. bf16 rounds elsewhere on a
// mesh than on one rank: there a gradient differs by no more than three times what rounding to bf16 does to one rank's.
template <class B>
void hold(const Keys& model, const std::vector<Keys>& meshes) {
    const Course one = run<B>(model, 1);
    Course exact;
    if constexpr (kBf16<B>) exact = run<Cpu<double>>(model, 1);
    for (const Keys& mesh : meshes) {
        if (kSanitized && &mesh != &meshes.back()) continue;
        SCOPED_TRACE(testing::PrintToString(joined(model, mesh)));
        const Course four = run<B>(joined(joined(model, mesh), kStaged), 4);
        ASSERT_EQ(four.steps.size(), one.steps.size());
        for (size_t s = 0; s < one.steps.size(); s++) {
            expect_near<B>(four.steps[s].loss, one.steps[s].loss, "loss", s);
            expect_near<B>(four.steps[s].grad_norm, one.steps[s].grad_norm, "gradient norm", s);
        }
        ASSERT_EQ(four.first.size(), one.first.size());
        for (const auto& [name, values] : one.first)
            if (is_optimizer_state(name)) {
                double tolerance = kTolerance<B>;
                if constexpr (kBf16<B>) tolerance = 3 * relative_error(values, exact.first.at(name));
                EXPECT_LE(relative_error(four.first.at(name), values), tolerance) << name;
            }
    }
}

TEST(CudaMesh, DenseModelsAgreeWithOneRank) {
    hold<Cuda<float>>(kGates, {kTensor, joined(kTensor, kZero), {"parallel.tensor=4"}, joined(kSequence, kZero)});
    hold<Cuda<float>>(kMaps, {{"parallel.tensor=4"}, joined(kSequence, kZero)});
    hold<Cuda<float>>(kSwitchHeads, {kSequence});
    hold<Cuda<float>>(kRela, {kSequence});
}

TEST(CudaMesh, MixturesAgreeWithOneRank) {
    hold<Cuda<float>>(kExperts, {joined(kSequence, kExpert), joined(joined(kTensor, kExpert), kZero)});
}

TEST(CudaMesh, MuonAgreesWithOneRank) { hold<Cuda<float>>(kMuon, {joined(kSequence, kZero)}); }

TEST(CudaMesh, Bf16AgreesWithOneRank) {
    hold<Cuda<bf16>>(kGates, {{}, kZero, joined(kTensor, kZero), joined(kSequence, kZero)});
    hold<Cuda<bf16>>(kExperts, {kExpert, joined(kSequence, kExpert), joined(joined(kTensor, kExpert), kZero)});
    hold<Cuda<bf16>>(kMuon, {kZero, joined(kSequence, kZero)});
}

// NCCL's stand-in adds up in rank order, as the host does, and rounds as often: all numbers are the same.
template <class B>
void hold_nccl(const Keys& model, int ranks, const std::vector<Keys>& meshes) {
    for (const Keys& mesh : meshes) {
        SCOPED_TRACE(testing::PrintToString(joined(model, mesh)));
        const Course staged = run<B>(joined(joined(model, mesh), kStaged), ranks);
        for (const auto order : {emu::Order::forward, emu::Order::reverse, emu::Order::seeded}) {
            if (kSanitized && order != emu::Order::reverse) continue;
            emu::options().order = order;
            const Course nccl = run<B>(joined(joined(model, mesh), kNccl), ranks);
            emu::options().order = emu::Order::forward;
            ASSERT_EQ(nccl.steps.size(), staged.steps.size());
            for (size_t s = 0; s < nccl.steps.size(); s++) {
                EXPECT_EQ(nccl.steps[s].loss, staged.steps[s].loss);
                EXPECT_EQ(nccl.steps[s].grad_norm, staged.steps[s].grad_norm);
            }
            EXPECT_EQ(nccl.first, staged.first);
        }
    }
}

TEST(CudaMesh, NcclDoesAsTheHostWithTwoRanks) {
    const Keys untied = joined(kGates, {"train.batch=8"});  // two micro-batches and more
    hold_nccl<Cuda<float>>(untied, 2, {{}, kTensor, kSequence, kZero});
    hold_nccl<Cuda<float>>(kExperts, 2, {kExpert});
    hold_nccl<Cuda<bf16>>(kGates, 2, {kTensor, kZero});
}

TEST(CudaMesh, NcclDoesAsTheHostWithFourRanks) {
    hold_nccl<Cuda<float>>(kGates, 4, {joined(kSequence, kZero), {"parallel.tensor=4"}});
    hold_nccl<Cuda<float>>(kExperts, 4, {joined(joined(kTensor, kExpert), kZero)});
    hold_nccl<Cuda<bf16>>(kMuon, 4, {joined(kSequence, kZero)});
}

TEST(CudaMesh, NotFiniteOnOneRankIsAppliedByNone) {
    run_threads(2, [](Comm& comm) {
        using B = Cuda<float>;
        Mesh mesh(comm, {}, memory_of<B>());
        Config config = small_config({"train.micro_batch=1"});
        resolve_ranks(config, comm.size());
        Trainer<B> trainer(config, mesh);
        Memory& memory = memory_of<B>();
        const Stream stream = trainer.model().stream();
        const auto weights = [&] {
            std::vector<float> all(size_t(trainer.model().parameters()));
            memory.to_host(stream, all.data(), trainer.model().weights(), all.size() * sizeof(float));
            memory.wait(stream);
            return all;
        };
        EXPECT_TRUE(trainer.step(small_samples).applied);
        const int64_t at = trainer.model().tensors()[1].offset;  // past the embedding
        const float sound = weights()[size_t(at)], damaged = std::numeric_limits<float>::quiet_NaN();
        if (comm.rank() == 1) memory.to_device(stream, trainer.model().weights() + at, &damaged, sizeof(float));
        std::vector<float> before = weights();
        const StepResult result = trainer.step(small_samples);
        EXPECT_FALSE(result.applied);
        EXPECT_TRUE(std::isnan(result.loss));
        EXPECT_EQ(trainer.progress().updates, 1);
        EXPECT_EQ(trainer.progress().skipped_in_a_row, 1);
        std::vector<float> after = weights();
        before[size_t(at)] = after[size_t(at)] = sound;
        EXPECT_EQ(after, before);
        memory.to_device(stream, trainer.model().weights() + at, &sound, sizeof(float));
        EXPECT_TRUE(trainer.step(small_samples).applied);
        EXPECT_EQ(trainer.progress().skipped, 1);
    });
}

}  // namespace
}  // namespace sluice
