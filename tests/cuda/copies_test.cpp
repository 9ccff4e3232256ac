// Copies beside ops: batches that are uploaded while others are computed, and checkpoints that are copied out while the
// next step computes.
#include <gtest/gtest.h>

#include "checkpoint/checkpoint_writer.h"
#include "cuda/small.h"
#include "kernels/emu/emu.h"
#include "model/batch_upload.h"
#include "support/folder.h"

namespace sluice {
namespace {

using B = Cuda<float>;
const emu::Order kOrders[] = {emu::Order::forward, emu::Order::reverse, emu::Order::seeded};

class Copies : public testing::Test {
 protected:
    ~Copies() override { emu::options() = {}; }
};

// More batches than there are buffers, none of which is read before the last was sent.
TEST_F(Copies, BatchesArriveInTheirOrder) {
    constexpr int kBatches = 7, kTokens = 40;
    Memory& memory = memory_of<B>();
    for (const auto order : kOrders) {
        emu::options().order = order;
        const StreamOwner<B> stream;
        auto* buffers = static_cast<int32_t*>(memory.allocate(B::kBatches * 4 * kTokens * sizeof(int32_t)));
        auto* read = static_cast<int32_t*>(memory.allocate(4 * kTokens * sizeof(int32_t)));
        auto* kept = static_cast<int32_t*>(memory.allocate(kBatches * kTokens * sizeof(int32_t)));
        {
            BatchUpload<B> upload;
            upload.bind(buffers, kTokens);
            std::vector<int32_t> tokens(kTokens), targets(kTokens);
            for (int b = 0; b < kBatches; b++) {
                std::fill(tokens.begin(), tokens.end(), b);
                std::fill(targets.begin(), targets.end(), 100 + b);
                upload.send(stream.get(),
                            {{{read, b % 2 ? nullptr : tokens.data()}, {read + kTokens, targets.data()}, {}, {}}},
                            kTokens);
                memory.copy(stream.get(), kept + b * kTokens, read + (b % 2) * kTokens, kTokens * sizeof(int32_t));
            }
            std::vector<int32_t> got(kBatches * kTokens);
            memory.to_host(stream.get(), got.data(), kept, got.size() * sizeof(int32_t));
            memory.wait(stream.get());
            for (int i = 0; i < kBatches * kTokens; i++) {
                const int b = i / kTokens;
                ASSERT_EQ(got[size_t(i)], b % 2 ? 100 + b : b) << i;
            }
        }
        for (void* p : {buffers, read, kept}) memory.free(p);
    }
}

// The state that is saved is that of its step, though the next one is computed meanwhile.
TEST_F(Copies, ACheckpointIsOfItsStep) {
    for (const auto order : kOrders) {
        emu::options().order = order;
        std::string digests[2];
        for (const bool async : {false, true}) {
            const Folder folder;
            Config config = small_config({"optimizer.lr=0.01"});
            resolve_ranks(config, 1);
            const auto comm = solo_comm();
            Trainer<B> trainer(config, solo_mesh(memory_of<B>()));
            CheckpointWriter writer(folder.path(), async, 0);
            trainer.step(small_samples);
            CheckpointInfo info;
            info.step = 1;
            info.config_yaml = "run: {}\n";
            writer.begin(*comm, info, trainer.state());
            if (async)
                for (int i = 0; i < 2; i++) trainer.step(small_samples, {}, [&] { writer.wait_copied(); });
            writer.finish(*comm);
            digests[async] = open_checkpoint(folder.path() / "step-00000001").info.digest;
        }
        EXPECT_EQ(digests[0], digests[1]);
    }
}

}  // namespace
}  // namespace sluice
