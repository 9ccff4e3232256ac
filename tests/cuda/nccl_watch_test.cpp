// What ends, and what is said, where ranks that communicate by NCCL's stand-in are lost, stopped, slow or at odds.
#include <chrono>
#include <functional>

#include "base/check.h"
#include "base/machine.h"
#include "cuda/seat.h"
#include "cuda/small.h"
#include "parallel/liveness.h"

namespace sluice {
namespace {

// Seconds. What is queued must also be waited for within them: the emulator runs nothing before.
constexpr double kSoon = 1.5;

class NcclWatched : public NcclGroups {};

// Runs two ranks that meet once, and body(seat, rank), which ends by an error. Returns what was printed.
std::string ended(const std::function<void(Seat&, Comm&)>& body, double timeout = kSoon) {
    emu::options().nccl_checks = false;  // the stand-in would find out before
    testing::internal::CaptureStderr();
    const auto begin = std::chrono::steady_clock::now();
    try {
        run_threads(2, [&](Comm& world) {
            Seat seat(world, {}, parallel(timeout));
            seat.mesh.step = 41;
            const auto x = seat.numbers({1, 2});
            seat.mesh.data->all_reduce(x.data(), 2);
            seat.wait();
            world.barrier();
            seat.mesh.step = 42;
            body(seat, world);
        });
        ADD_FAILURE() << "it came to an end";
    } catch (const Failure& failure) { EXPECT_EQ(failure.code(), Exit::peer_lost) << failure.what(); }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(40));
    return testing::internal::GetCapturedStderr();
}

// Both ranks ask for a sum, and wait; a rank that has ended is told of by the next collective.
void sum_twice(Seat& seat) {
    const auto x = seat.numbers({1, 2});
    seat.mesh.data->all_reduce(x.data(), 2);
    seat.wait();
    seat.mesh.data->all_reduce(x.data(), 2);
    seat.wait();
}

void expect_line(const std::string& said, const std::vector<std::string>& parts) {
    EXPECT_TRUE(said.starts_with("error: rank ")) << said;
    for (const std::string& part : parts) EXPECT_TRUE(has(said, part)) << part << ": " << said;
    EXPECT_TRUE(has(said, " on " + host_name() + ": ")) << said;
    EXPECT_TRUE(has(said, "; ending all ranks\n")) << said;
}

TEST_F(NcclWatched, AStalledRankEndsAll) {
    const std::string said = ended([](Seat& seat, Comm& world) {
        if (world.rank() == 1) emu::nccl_fault(emu::NcclFault::stall);
        sum_twice(seat);
    });
    expect_line(said, {": no answer for ", " s in all_reduce of group data (collective 2, step 42); ", kAllThere});
}

// It has thrown, as a rank does whose disk is full, and its thread is gone.
TEST_F(NcclWatched, ALostRankEndsAllAndIsNamed) {
    const std::string said = ended([](Seat& seat, Comm& world) {
        if (world.rank() == 1) fail(Exit::peer_lost, "the network is gone");
        sum_twice(seat);
    });
    expect_line(said, {"rank 0 on ", "all_reduce of group data (collective 2, step 42)",
                       "; lost: rank 1 on " + host_name() + "; ending all ranks"});
}

TEST_F(NcclWatched, ASlowRankEndsAllWhereItIsSlowerThanTheTimeout) {
    const std::string said = ended([](Seat& seat, Comm& world) {
        if (world.rank() == 1) emu::nccl_fault(emu::NcclFault::slow, 0, 6);
        sum_twice(seat);
    });
    expect_line(said, {"all_reduce of group data (collective 2, step 42)", kAllThere});
    // And one that is slow, but not so slow, ends nothing.
    run_threads(2, [&](Comm& world) {
        Seat seat(world, {}, parallel(60));
        const auto x = seat.numbers({1, 2});
        seat.mesh.data->all_reduce(x.data(), 2);
        if (world.rank() == 1) emu::nccl_fault(emu::NcclFault::slow, 0, 0.3);
        seat.mesh.data->all_reduce(x.data(), 2);
        EXPECT_EQ(x.values(), (std::vector<float>{4, 8}));
    });
}

TEST_F(NcclWatched, AnErrorOfNcclEndsAllAtOnce) {
    const std::string said = ended(
        [](Seat& seat, Comm& world) {
            if (world.rank() == 1) emu::nccl_fault(emu::NcclFault::error, 0, 0.3);
            sum_twice(seat);
        },
        3);  // of the other rank, which hears of nothing
    expect_line(said, {"rank 1 on ", ": NCCL: remote process exited or there was a network error in group data",
                       ", before the end of all_reduce of group data (collective 2, step 42); "});
}

// The call itself tells of one that is there already.
TEST_F(NcclWatched, AnErrorThatACallMeetsEndsAllToo) {
    ended([](Seat& seat, Comm& world) {
        if (world.rank() == 0) return sum_twice(seat);
        emu::nccl_fault(emu::NcclFault::error);
        const auto x = seat.numbers({1, 2});
        try {
            seat.mesh.data->all_reduce(x.data(), 2);
            ADD_FAILURE() << "no error";
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Exit::peer_lost);
            EXPECT_TRUE(has(failure.what(), "NCCL: all_reduce of group data: remote process exited")) << failure.what();
            throw;
        }
    });
}

// Each rank waits for its neighbour in another group: rank 0 for 1, 1 for 3, 3 for 2, and 2 for 0. The stand-in says so
// at once. Where it does not, as NCCL does not, all wait.
TEST_F(NcclWatched, RanksThatWaitInACircleEndAll) {
    const auto crossed = [] {
        run_threads(4, [](Comm& world) {
            Seat seat(world, {2}, parallel(kSoon));
            const auto x = seat.numbers({1, 2});
            Comm* order[] = {seat.mesh.data.get(), seat.mesh.tensor.get()};
            for (Comm* group : order) group->all_reduce(x.data(), 2);
            seat.wait();
            world.barrier();
            if (world.rank() == 0 || world.rank() == 3) std::swap(order[0], order[1]);
            for (Comm* group : order) group->all_reduce(x.data(), 2);
            seat.wait();
            order[0]->all_reduce(x.data(), 2);
        });
    };
    try {
        crossed();
        ADD_FAILURE() << "it came to an end";
    } catch (const Failure& failure) {
        EXPECT_TRUE(has(failure.what(), "NCCL would hang here: ncclAllReduce of 2 floats")) << failure.what();
    }
    emu::options().nccl_checks = false;
    testing::internal::CaptureStderr();
    try {
        crossed();
        ADD_FAILURE() << "it came to an end";
    } catch (const Failure& failure) { EXPECT_EQ(failure.code(), Exit::peer_lost) << failure.what(); }
    expect_line(testing::internal::GetCapturedStderr(), {": no answer for ", "all_reduce of group ", kAllThere});
}

// A rank whose exception is in flight does not wait for the others, nor does it leave them waiting.
TEST_F(NcclWatched, AnErrorOfOneRankLeavesNothingHanging) {
    emu::options().nccl_checks = false;
    testing::internal::CaptureStderr();
    try {
        run_threads(2, [&](Comm& world) {
            Seat seat(world, {}, parallel(kSoon));
            const auto x = seat.numbers({1, 2});
            for (int i = 0; i < 3; i++) seat.mesh.data->all_reduce(x.data(), 2);
            if (world.rank() == 1) fail(Exit::disk, "no space left");
            for (int i = 0; i < 100; i++) seat.mesh.data->all_reduce(x.data(), 2);
            seat.wait();
            world.barrier();
        });
        ADD_FAILURE() << "it came to an end";
    } catch (const Failure& failure) { EXPECT_EQ(failure.code(), Exit::disk) << failure.what(); }
    // The oldest work that is not done is told, or, with more than there are marks for, the last.
    EXPECT_TRUE(has(testing::internal::GetCapturedStderr(), "lost: rank 1"));
}

// It waits for nobody, though the other rank never ends its communicator.
TEST_F(NcclWatched, AnErrorInFlightEndsCommunicatorsAtOnce) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_THROW(run_threads(2,
                             [&](Comm& world) {
                                 Seat seat(world, {}, parallel(600));
                                 const auto x = seat.numbers({1, 2});
                                 seat.mesh.data->all_reduce(x.data(), 2);
                                 seat.wait();
                                 if (world.rank() == 1) fail(Exit::disk, "no space left");
                                 world.barrier();
                             }),
                 Failure);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
}

// More is queued than there are marks for: what stalls behind them is found all the same.
TEST_F(NcclWatched, AStallBehindManyCollectivesIsFound) {
    const std::string said = ended([](Seat& seat, Comm& world) {
        if (world.rank() == 1) emu::nccl_fault(emu::NcclFault::stall, 600);
        const auto x = seat.numbers({1, 2});
        for (int i = 0; i < 700; i++) seat.mesh.data->all_reduce(x.data(), 2);
        seat.wait();
        seat.mesh.data->all_reduce(x.data(), 2);
    });
    expect_line(said, {": no answer for ", "all_reduce of group data (collective 701, step 42); "});
}

// Its communicators are ended in order only with those of others.
TEST_F(NcclWatched, ARankThatEndsAloneDoesNotWaitForEver) {
    const auto begin = std::chrono::steady_clock::now();
    run_threads(2, [&](Comm& world) {
        {
            const Seat seat(world, {}, parallel(kSoon));
            const auto x = seat.numbers({1, 2});
            seat.mesh.data->all_reduce(x.data(), 2);
            seat.wait();
            if (world.rank() == 1) world.barrier();
        }
        if (world.rank() == 0) world.barrier();
    });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    EXPECT_GE(took.count(), kSoon);
    EXPECT_LT(took.count(), 20);
}

// NCCL that makes no communicator, or does not connect its ranks, is waited for no longer than that.
TEST_F(NcclWatched, RanksThatDoNotConnectAreWaitedForSoLong) {
    const auto connects = [](bool made) {
        try {
            run_threads(2, [&](Comm& world) {
                emu::options().nccl_connects = made;
                world.barrier();
                const Seat seat(world, {}, parallel(kSoon));
                world.barrier();
                emu::options().nccl_connects = false;
                const auto x = seat.numbers({1, 2});
                seat.mesh.data->all_reduce(x.data(), 2);
            });
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Exit::peer_lost);
            return std::string(failure.what());
        }
        return std::string("it came to an end");
    };
    const std::string said = connects(false);
    EXPECT_TRUE(has(said, " on " + host_name() +
                              ": NCCL does not make the communicator of group data within 1.50s "
                              "(parallel.timeout); "))
        << said;
    EXPECT_TRUE(has(connects(true), "NCCL does not connect the ranks of group data within 1.50s (parallel.timeout)"));
}

// The world of a rank that is slow to end, as NCCL may be, which an abort waits for: abort() ends nobody.
class SlowToEnd final : public Comm {
 public:
    explicit SlowToEnd(Comm& world) : world_(world) {}
    int rank() const override { return world_.rank(); }
    int size() const override { return world_.size(); }
    std::unique_ptr<Comm> split(int) override { return nullptr; }
    void broadcast(void*, size_t, int) override {}
    void barrier() override {}
    void abort(int code) override { fail(Exit(code), "the watch ends all"); }

 private:
    void reduce(void*, int64_t, Number) override {}
    void scatter(void*, const void*, const int64_t*, Number) override {}
    void gather(void*, const void*, const int64_t*, size_t) override {}
    void gather(void*, const void*, int64_t, size_t) override {}
    void exchange(void*, const int64_t*, const void*, const int64_t*, size_t) override {}
    Comm& world_;
};

// Collectives that were ended leave any numbers behind: no step is taken with them, though all ranks still answer.
TEST_F(NcclWatched, AStepThatWasEndedChangesNothing) {
    using B = Cuda<float>;
    constexpr double kSeconds = 3;  // more than a step that is well takes
    emu::options().nccl_checks = false;
    testing::internal::CaptureStderr();
    for (const char* mesh : {"parallel.zero=0", "parallel.zero=1", "parallel.tensor=2"})
        run_threads(2, [&](Comm& world) {
            Config config = small_config({"train.micro_batch=1", "train.batch=2", mesh});
            resolve_ranks(config, 2);
            SlowToEnd slow(world);
            Mesh groups(world, mesh_shape(config.model, config.parallel), memory_of<B>(),
                        nccl_groups(open_nccl<B>(kSeconds), slow, memory_of<B>(), kSeconds));
            Trainer<B> trainer(config, groups);
            EXPECT_TRUE(trainer.step(small_samples).applied);
            world.barrier();
            if (world.rank() == 0) emu::nccl_fault(emu::NcclFault::stall);
            try {
                trainer.step(small_samples);
                ADD_FAILURE() << "a step, with " << mesh;
            } catch (const Failure& failure) {
                EXPECT_EQ(failure.code(), Exit::peer_lost);
                EXPECT_TRUE(has(failure.what(), ": no answer for ")) << failure.what();
            }
            EXPECT_EQ(trainer.progress().step, 1);
            world.barrier();
        });
    testing::internal::GetCapturedStderr();
}

// Ranks train, and rank 0 has the fault from its launch `after` on, of the given step. From the third step on
// graphs launch all micro-batches, and of the second one the last.
void train_with(emu::NcclFault fault, double seconds, int64_t after, int step, int ranks, const Keys& keys) {
    using B = Cuda<float>;
    const Config config =
        small_config(joined({"train.micro_batch=1", "parallel.communicator=nccl", "parallel.timeout=3"}, keys));
    train_on<B>(ranks, config, [&](Trainer<B>& trainer, Comm& world) {
        for (int s = 1; s < step; s++) trainer.step(small_samples);
        world.barrier();
        if (world.rank() == 0) emu::nccl_fault(fault, after, seconds);
        for (int s = 0; s < 2; s++) trainer.step(small_samples);
    });
}
void expect_stall(int64_t after, int step, int ranks, const Keys& keys, const std::string& named) {
    emu::options().nccl_checks = false;
    testing::internal::CaptureStderr();
    try {
        train_with(emu::NcclFault::stall, 0, after, step, ranks, keys);
        ADD_FAILURE() << "it came to an end";
    } catch (const Failure& failure) { EXPECT_EQ(failure.code(), Exit::peer_lost) << failure.what(); }
    expect_line(testing::internal::GetCapturedStderr(), {": no answer for ", " s in " + named + "; "});
}

// In training the line names the step, and the collective, which has the number that it was captured with.
TEST_F(NcclWatched, AStepThatStallsIsNamed) {
    expect_stall(0, 1, 2, {}, "all_reduce of group data (collective 1, step 1)");
    expect_stall(2, 2, 2, {}, "all_reduce of group data (collective 11, step 2)");
    expect_stall(1, 3, 2, {"parallel.tensor=2"}, "all_reduce of group tensor (collective 13, step 3)");
}

// It takes longer than parallel.timeout, but each of its collectives does not.
TEST_F(NcclWatched, AStepOfManySlowCollectivesIsNotEnded) {
    const auto begin = std::chrono::steady_clock::now();
    train_with(emu::NcclFault::slow, 0.1, 0, 3, 2, {"parallel.tensor=2"});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    EXPECT_GT(took.count(), 2 * 3);
}

}  // namespace
}  // namespace sluice
