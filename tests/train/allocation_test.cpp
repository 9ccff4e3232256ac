// Nothing is allocated inside a step, whatever the mesh: every operator new is counted, but for what oneDNN does on its
// own in each call (float's GEMMs; double's are ours).
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/machine.h"
#include "config/load.h"
#include "data/data.h"
#include "kernels/autotune.h"
#include "kernels/memory.h"
#include "train/step.h"

namespace {
std::atomic<bool> counting{false};
std::atomic<int64_t> allocations{0};

bool within_onednn(void* caller) {
    Dl_info info;
    return dladdr(caller, &info) && info.dli_fname && std::strstr(info.dli_fname, "libdnnl");
}

void* try_to_allocate(size_t bytes, size_t alignment, void* caller) noexcept {
    if (counting && !within_onednn(caller)) allocations++;
    return alignment > 16 ? std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment)
                          : std::malloc(bytes);
}
void* allocate(size_t bytes, size_t alignment, void* caller) {
    if (void* p = try_to_allocate(bytes, alignment, caller)) return p;
    throw std::bad_alloc();
}

// Not inlined: a compiler that sees free() where it expects delete warns of a mismatch.
[[gnu::noinline]] void release(void* p) { std::free(p); }
}  // namespace

void* operator new(size_t bytes) { return allocate(bytes, 1, __builtin_return_address(0)); }
void* operator new[](size_t bytes) { return allocate(bytes, 1, __builtin_return_address(0)); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
    return try_to_allocate(bytes, 1, __builtin_return_address(0));
}
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept {
    return try_to_allocate(bytes, 1, __builtin_return_address(0));
}
void* operator new(size_t bytes, std::align_val_t a) { return allocate(bytes, size_t(a), __builtin_return_address(0)); }
void* operator new[](size_t bytes, std::align_val_t a) {
    return allocate(bytes, size_t(a), __builtin_return_address(0));
}
void operator delete(void* p) noexcept { release(p); }
void operator delete[](void* p) noexcept { release(p); }
void operator delete(void* p, size_t) noexcept { release(p); }
void operator delete[](void* p, size_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { release(p); }

namespace sluice {
namespace {

// The host's memory as if it were a device's: communicators pass what they send through buffers of their own.
class FarMemory final : public Memory {
    const char* name() const override { return near_.name(); }
    Room room(int ranks) const override { return near_.room(ranks); }
    size_t beside() const override { return near_.beside(); }
    void* allocate(size_t bytes) override { return near_.allocate(bytes); }
    void free(void* p) override { near_.free(p); }
    void zero(Stream s, void* to, size_t bytes) override { near_.zero(s, to, bytes); }
    void copy(Stream s, void* to, const void* from, size_t bytes) override { near_.copy(s, to, from, bytes); }
    void to_device(Stream s, void* to, const void* host, size_t n) override { near_.to_device(s, to, host, n); }
    void to_host(Stream s, void* host, const void* from, size_t n) override { near_.to_host(s, host, from, n); }
    Stream open_stream() override { return near_.open_stream(); }
    void close_stream(Stream s) override { near_.close_stream(s); }
    void drain(Stream s) override { near_.wait(s); }
    Memory& near_ = host_memory();
};

template <class B>
int64_t allocations_in_a_step(int ranks, std::vector<std::string> keys, Memory& memory = host_memory()) {
    const std::vector<std::string> common{"model.layers=2",           "model.hidden=16",        "model.heads=4",
                                          "model.kv_heads=2",         "model.vocab=19",         "model.ffn.hidden=8",
                                          "data.sequence_length=8",   "train.batch=8",          "train.steps=9",
                                          "optimizer.lr=0.001",       "train.micro_batch=1",    "train.recompute=ffn",
                                          "model.sandwich_norm=true", "data.document_mask=true"};
    keys.insert(keys.end(), common.begin(), common.end());
    Config config = load_config_text("", "test", keys, Purpose::plan).config;
    resolve_ranks(config, ranks);
    run_threads(ranks, [&](Comm& comm) {
        Mesh mesh(comm, mesh_shape(config.model, config.parallel), memory);
        Trainer<B> trainer(config, mesh);
        const Samples samples = [](int64_t n, int32_t* tokens, int32_t* first) {
            for (int64_t t = 0; t <= 8; t++) tokens[t] = int32_t((5 * n + t * t) % 19);
            document_starts(first, tokens, 8, 0);
        };
        for (int s = 0; s < 3; s++) trainer.step(samples);  // what is kept by thread is there now
        comm.barrier();
        allocations = 0;
        counting = true;
        comm.barrier();
        trainer.step(samples);
        comm.barrier();
        counting = false;
    });
    return allocations;
}

const char* kGates =
    "model.gates=[{position: value, heads: averaged}, {position: sdpa}, {position: output}, "
    "{position: key, input_width: 3}, {position: sdpa, rank: 2, rank_activation: silu}]";
const char* kExperts = "model.moe={experts: 4, top_k: 2, hidden: 8, shared_hidden: 4}";

TEST(Allocation, IsSeenByThisTest) {
    counting = true;
    const int64_t before = allocations;
    delete new int(1);
    counting = false;
    EXPECT_GT(allocations, before);
}

// Products of experts are looked up anew each time, also those that are worth timing.
TEST(Allocation, NothingInAProductOfExperts) {
    const int64_t offsets[] = {0, 600, 1200}, width = 256;
    std::vector<float> x(size_t(1200 * width), 0.5f), w(size_t(2 * width * width), 0.25f), y(x.size());
    const AutotuneScope autotuning;
    const auto multiply = [&] {
        grouped_linear_forward<Cpu<float>>({}, y.data(), x.data(), w.data(), {offsets, 1200, 2, width, width});
    };
    multiply();
    allocations = 0;
    counting = true;
    multiply();
    counting = false;
    EXPECT_EQ(allocations, 0);
}

TEST(Allocation, NothingInsideAStep) {
    FarMemory far;
    for (const bool experts : {false, true})
        for (const auto& [ranks, keys] :
             std::vector<std::pair<int, std::vector<std::string>>>{{1, {}},
                                                                   {2, {"parallel.zero=1"}},
                                                                   {4, {"parallel.tensor=2", "parallel.sequence=true"}},
                                                                   {4, {"parallel.tensor=2", "parallel.expert=2"}}}) {
            if (!experts && ranks == 4 && keys[1] == "parallel.expert=2") continue;
            std::vector<std::string> all = keys;
            all.push_back(experts ? kExperts : kGates);
            std::vector<std::string> muon = all;
            muon.push_back("optimizer.kind=muon");
            EXPECT_EQ(allocations_in_a_step<Cpu<double>>(ranks, muon), 0) << ranks << " ranks with muon" << experts;
            EXPECT_EQ(allocations_in_a_step<Cpu<float>>(ranks, muon), 0) << ranks << " ranks with muon" << experts;
            EXPECT_EQ(allocations_in_a_step<Cpu<double>>(ranks, all), 0) << ranks << " ranks in double" << experts;
            EXPECT_EQ(allocations_in_a_step<Cpu<float>>(ranks, all), 0) << ranks << " ranks in float" << experts;
            EXPECT_EQ(allocations_in_a_step<Cpu<float>>(ranks, all, far), 0) << ranks << " ranks, staged" << experts;
            // Experts' rows may make a new shape in any step, and that a new primitive of oneDNN's.
            if (experts || !multiplies_bf16(processor())) continue;
            std::vector<std::string> with_bf16 = all;
            with_bf16.push_back("train.precision=bf16");
            EXPECT_EQ(allocations_in_a_step<Cpu<float>>(ranks, with_bf16), 0) << ranks << " ranks in bf16" << experts;
        }
}

}  // namespace
}  // namespace sluice
