// A device's memory as it is planned, and where it does not suffice.
#include <gtest/gtest.h>

#include <optional>

#include "base/check.h"
#include "config/load.h"
#include "kernels/emu/emu.h"
#include "model/device_groups.h"
#include "parallel/collective.h"
#include "plan/memory_check.h"
#include "train/step.h"

namespace sluice {
namespace {

Config config_with(const std::vector<std::string>& more, int ranks = 1) {
    std::vector<std::string> keys{"model.layers=2",   "model.hidden=32",     "model.heads=4",
                                  "model.vocab=3001", "model.ffn.hidden=48", "data.sequence_length=16",
                                  "train.batch=64",   "train.micro_batch=8"};
    keys.insert(keys.end(), more.begin(), more.end());
    return load_config_text("", "test", keys, Purpose::plan, ranks).config;
}

void samples(int64_t n, int32_t* tokens, int32_t*) {
    for (int64_t t = 0; t <= 16; t++) tokens[t] = int32_t((5 * n + t * t) % 3001);
}

template <class B>
void expect_as_planned(const Config& config) {
    Memory& memory = memory_of<B>();
    const size_t before = memory.room(1).free;
    const Trainer<B> trainer(config, solo_mesh(memory));
    const MemoryPlan plan = plan_memory(config, {}, B::kStorage);
    EXPECT_EQ(trainer.bytes(), plan.total());
    const size_t taken = before - memory.room(1).free;
    EXPECT_GE(taken, plan.total());
    EXPECT_LE(taken, plan.total() + memory.beside());
}

TEST(CudaMemory, IsAsPlanned) {
    for (const char* key : {"train.recompute=none", "train.recompute=block", "optimizer.kind=muon", "parallel.zero=1",
                            "model.moe={experts: 4, top_k: 2, hidden: 24, balance: bias}"}) {
        SCOPED_TRACE(key);
        expect_as_planned<Cuda<float>>(config_with({key}));
        expect_as_planned<Cuda<bf16>>(config_with({key}));
    }
    // The head computes more logits at once than a CPU's.
    const Config wide = config_with({"model.vocab=100000", "train.micro_batch=32"});
    EXPECT_GT(plan_memory(wide, {}, Storage::gpu_fp32).buffers, plan_memory(wide, {}, Storage::cpu).buffers);
    expect_as_planned<Cuda<float>>(wide);
}

// Neither of device nor of pinned memory, from the first step on.
template <class B>
int64_t allocations_in_steps(const Config& config, int ranks) {
    int64_t allocations = 0;
    run_threads(ranks, [&](Comm& comm) {
        Mesh mesh(comm, mesh_shape(config.model, config.parallel), memory_of<B>(),
                  device_groups<B>(comm, config.parallel));
        Trainer<B> trainer(config, mesh);
        comm.barrier();
        const int64_t before = emu::allocations();
        comm.barrier();
        for (int s = 0; s < 2; s++) trainer.step(samples);
        comm.barrier();
        if (comm.rank() == 0) allocations = emu::allocations() - before;
        comm.barrier();
    });
    return allocations;
}

TEST(CudaMemory, NothingIsAllocatedInAStep) {
    const std::string experts = "model.moe={experts: 4, top_k: 2, hidden: 24}";
    const struct {
        int ranks;
        std::vector<std::string> keys;
    } cases[] = {{1, {"optimizer.kind=muon"}},
                 {1, {experts, "train.recompute=block"}},
                 {2, {"parallel.zero=1", "parallel.communicator=staged"}},
                 {2, {"parallel.zero=1", "parallel.communicator=nccl"}},
                 {2, {experts, "parallel.tensor=2", "parallel.sequence=true", "parallel.communicator=staged"}},
                 {2, {experts, "parallel.tensor=2", "parallel.sequence=true", "parallel.communicator=nccl"}},
                 {2, {experts, "parallel.expert=2"}}};
    for (const auto& [ranks, keys] : cases) {
        std::vector<std::string> all = keys;
        all.insert(all.end(), {"train.batch=4", "train.micro_batch=1"});
        const Config config = config_with(all, ranks);
        EXPECT_EQ(allocations_in_steps<Cuda<float>>(config, ranks), 0) << testing::PrintToString(keys);
        EXPECT_EQ(allocations_in_steps<Cuda<bf16>>(config, ranks), 0) << testing::PrintToString(keys);
    }
}

TEST(CudaMemory, PinnedMemoryThatDoesNotSufficeIsTold) {
    Memory& memory = memory_of<Cuda<float>>();
    const size_t free = memory.room(1).free;
    emu::options().pinned_bytes = 1 << 20;
    try {
        const StreamOwner<Cuda<float>> stream;
        ADD_FAILURE() << "a stream without pinned memory";
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Exit::out_of_memory);
        const std::string said = failure.what();
        EXPECT_NE(said.find("out of memory: 8.00M of memory for pinned buffers of copies"), std::string::npos) << said;
    }
    emu::options() = {};
    EXPECT_EQ(memory.room(1).free, free);
    const StreamOwner<Cuda<float>> stream;  // as before
}

// Two ranks on one device, each of which finds room for one: all end, with what there is and what to try.
TEST(CudaMemory, RanksThatShareADeviceEndTogether) {
    const Config config = config_with({"train.batch=2048", "train.micro_batch=1024"}, 2);
    Memory& memory = memory_of<Cuda<float>>();
    const size_t one = plan_memory(config, {}, Storage::gpu_fp32).total() + memory.beside();
    emu::options().device_bytes = memory.room(1).total - memory.room(1).free + one;
    int codes[2] = {0, 0};
    testing::internal::CaptureStderr();
    run_threads(2, [&](Comm& comm) {
        const MemoryCheck check(config, comm, Mode::training, Storage::gpu_fp32, memory);
        EXPECT_EQ(on_all_ranks(comm, [&] { check.require(); }), 0);
        Mesh mesh(comm, mesh_shape(config.model, config.parallel), memory);
        std::optional<Trainer<Cuda<float>>> trainer;
        codes[comm.rank()] = on_all_ranks(comm, [&] { check.allocate([&] { trainer.emplace(config, mesh); }); });
    });
    const std::string said = testing::internal::GetCapturedStderr();
    emu::options() = {};
    EXPECT_EQ(codes[0], int(Exit::out_of_memory));
    EXPECT_EQ(codes[1], int(Exit::out_of_memory));
    EXPECT_NE(said.find("error: out of memory: "), std::string::npos) << said;
    EXPECT_NE(said.find(" of device memory for "), std::string::npos) << said;
    EXPECT_NE(said.find("; try with "), std::string::npos) << said;
    EXPECT_EQ(said.find('\n'), said.size() - 1) << said;
}

}  // namespace
}  // namespace sluice
