// What is said where memory does not suffice: before anything is allocated, and where an allocation fails nevertheless.
#include "plan/memory_check.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "base/check.h"
#include "config/load.h"
#include "support/sanitizers.h"
#include "tensor/arena.h"

namespace sluice {
namespace {

// A device's memory of which the host has as much as it needs.
class SmallMemory final : public Memory {
 public:
    explicit SmallMemory(size_t bytes) : room_{bytes, bytes, bytes} {}
    SmallMemory(size_t total, size_t free, size_t limit) : room_{total, free, limit} {}

    const char* name() const override { return "device memory"; }
    Room room(int) const override { return room_; }
    size_t beside() const override { return 1000; }
    void* allocate(size_t bytes) override { return bytes > room_.free ? nullptr : std::calloc(1, bytes); }
    void free(void* p) override { std::free(p); }
    void zero(Stream, void*, size_t) override {}
    void copy(Stream, void*, const void*, size_t) override {}
    void to_device(Stream, void*, const void*, size_t) override {}
    void to_host(Stream, void*, const void*, size_t) override {}
    Stream open_stream() override { return {}; }
    void close_stream(Stream) override {}

 private:
    void drain(Stream) override {}
    Room room_;
};

Config config_with(int64_t micro_batch) {
    return load_config_text(
               "", "test",
               {"model.layers=2", "model.hidden=32", "model.heads=4", "model.vocab=97", "model.ffn.hidden=48",
                "data.sequence_length=16", "train.batch=64", "train.micro_batch=" + std::to_string(micro_batch)},
               Purpose::plan, 1)
        .config;
}
size_t bytes_with(int64_t micro_batch, Storage storage = Storage::gpu_fp32, Mode mode = Mode::training) {
    return plan_memory(config_with(micro_batch), {}, storage, mode).total();
}
std::string said(const std::function<void()>& body) {
    try {
        body();
        return "";
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Exit::out_of_memory);
        return failure.what();
    }
}
std::string refusal(Memory& memory, Mode mode = Mode::training, int64_t most_doublings = 6) {
    const auto comm = solo_comm();
    const MemoryCheck check(config_with(32), *comm, mode, Storage::gpu_fp32, memory, most_doublings);
    return said([&] { check.require(); });
}
void expect_in(const std::string& text, const std::string& words) {
    EXPECT_NE(text.find(words), std::string::npos) << text;
}

TEST(MemoryCheck, SaysWhatNeedsHowMuchAndWhatFits) {
    SmallMemory enough(bytes_with(32) + 1000), small(bytes_with(32) + 999), smaller(bytes_with(8) + 1000);
    EXPECT_EQ(refusal(enough), "");
    const std::string text = refusal(small);
    expect_in(text, "out of memory: it needs 3.");
    expect_in(text, "M of device memory (activations 2.");
    expect_in(text, "streams 1000B");
    expect_in(text, "M are free; it fits with train.micro_batch=16");
    EXPECT_EQ(text.find('\n'), std::string::npos);
    expect_in(refusal(smaller), "; it fits with train.micro_batch=8");
    EXPECT_TRUE(refusal(smaller).ends_with("train.micro_batch=8"));
}

// What others have is told, and what fits fits beside it.
TEST(MemoryCheck, WhatOthersHaveIsLeftToThem) {
    const size_t free = bytes_with(8) + 1000;
    SmallMemory shared(size_t{1} << 30, free, free), alone(free + free / 20, free, free);
    const std::string text = refusal(shared);
    expect_in(text, "of 1.00G are free, as others have 1023M (nvidia-smi lists them); it fits with ");
    EXPECT_TRUE(text.ends_with("train.micro_batch=8")) << text;
    EXPECT_EQ(refusal(alone).find("others"), std::string::npos);  // a driver has a little itself
}

TEST(MemoryCheck, AsksForMoreRanksWhereNothingFits) {
    Config least = config_with(1);
    least.train.recompute = Recompute::block;
    SmallMemory memory(plan_memory(least, {}, Storage::gpu_fp32).total() + 999), tiny(10);
    expect_in(refusal(memory), "; it fits on 2 ranks that have as much each, with ");
    expect_in(refusal(tiny), "; no micro-batch, recompute, zero or mesh fits, on up to 64 ranks");
    expect_in(refusal(tiny, Mode::training, 0), "; no setting needs less");
}

TEST(MemoryCheck, InferenceNeedsNeitherGradientsNorMoments) {
    SmallMemory memory(bytes_with(32, Storage::gpu_fp32, Mode::inference) + 999);
    const std::string text = refusal(memory, Mode::inference);
    expect_in(text, "it fits with train.micro_batch=16");
    for (const char* part : {"gradients", "moments", "checkpoint"})
        EXPECT_EQ(text.find(part), std::string::npos) << text;
}

// A host could have what it does not have now.
TEST(MemoryCheck, WhatIsNotFreeButThereIsAWarning) {
    SmallMemory busy(size_t{1} << 30, 10, size_t{1} << 30);
    testing::internal::CaptureStderr();
    EXPECT_EQ(refusal(busy), "");
    const std::string warning = testing::internal::GetCapturedStderr();
    expect_in(warning,
              "and 10B of 1.00G are free, as others have 1.00G (nvidia-smi lists them): the system may end it");
    testing::internal::CaptureStderr();
    SmallMemory enough(bytes_with(32) + 1000);
    EXPECT_EQ(refusal(enough), "");
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(MemoryCheck, AHostsRanksShareItAndCopyWhatTheyWrite) {
    const auto comm = solo_comm();
    Config config = config_with(64);
    config.train.batch = config.train.micro_batch = int64_t{1} << 30;
    const auto refused = [&] {
        return said([&] { MemoryCheck(config, *comm, Mode::training, Storage::cpu, host_memory()).require(); });
    };
    expect_in(refused(), "T of memory (activations ");
    expect_in(refused(), "a checkpoint's copy");
    config.checkpoint.async = false;
    EXPECT_EQ(refused().find("copy"), std::string::npos);
    const size_t alone = refused().find("it fits with train.micro_batch=");
    ASSERT_NE(alone, std::string::npos);
    setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "1000000", 1);
    const std::string text = refused();
    unsetenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    expect_in(text, "each of the 1000000 on ");
    EXPECT_EQ(text.find("it fits with"), std::string::npos);
}

TEST(MemoryCheck, AnAllocationThatFailsNeverthelessSaysWhatToTry) {
    const auto comm = solo_comm();
    SmallMemory memory(bytes_with(8) + 1000);
    const MemoryCheck check(config_with(32), *comm, Mode::training, Storage::gpu_fp32, memory);
    const std::string text =
        said([&] { check.allocate([&] { const Arena arena("activations", 100 << 20, memory); }); });
    expect_in(text, "out of memory: 100M of device memory for activations, and ");
    EXPECT_TRUE(text.ends_with(" are free; try with train.micro_batch=8")) << text;
    const std::string on_host = said([&] { check.allocate([] { throw std::bad_alloc(); }); });
    expect_in(on_host, "out of memory on the host: ");
    expect_in(on_host, " are free; try with train.micro_batch=8");
    // Where the plan fits, less than it.
    SmallMemory enough(size_t{1} << 30);
    const MemoryCheck fits(config_with(32), *comm, Mode::training, Storage::gpu_fp32, enough);
    expect_in(said([&] { fits.allocate([] { throw std::bad_alloc(); }); }), "; try with train.micro_batch=16");
    // Other errors are their own.
    try {
        fits.allocate([] { fail(Exit::data, "no shard"); });
        FAIL();
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Exit::data);
        EXPECT_STREQ(failure.what(), "no shard");
    }
}

TEST(Arena, NamesWhatItIsForAndHowMuchThereIs) {
    SmallMemory memory(5000, 300, 300);
    EXPECT_EQ(said([&] { Arena("scratch", 2048, memory); }),
              "out of memory: 2.00K of device memory for scratch, and 300B of 4.88K are free");
    if (kSanitized) return;  // its own allocator ends the process
    EXPECT_EQ(
        said([&] { Arena("scratch", size_t{1} << 56, host_memory()); }).find("out of memory: 64.0P of memory for"), 0u);
}

TEST(Arena, BytesAreCountedToTheMostAndNotAround) {
    Binder binder;
    float* x = nullptr;
    binder("a", x, {int64_t{1} << 40, int64_t{1} << 40});
    EXPECT_EQ(binder.used(), Binder::kMost);
    for (int i = 0; i < 100; i++) binder("b", x, {int64_t{1} << 59});
    EXPECT_EQ(binder.peak(), Binder::kMost);
    Binder none;
    none("c", x, {int64_t{1} << 40, int64_t{1} << 40, 0});
    EXPECT_EQ(none.used(), 0u);
}

}  // namespace
}  // namespace sluice
