// Groups of ranks that are threads, by NCCL's stand-in: every collective, the communicators, and how the groups of a
// mesh are chosen.
#include "parallel/nccl.h"

#include <cstring>
#include <filesystem>
#include <functional>

#include "base/check.h"
#include "cuda/seat.h"
#include "cuda/small.h"
#include "kernels/cuda/nccl_library.h"
#include "plan/gpu.h"
#include "support/collectives.h"

namespace sluice {
namespace {

using B = Cuda<float>;

// A group of a device's memory for callers that have theirs on the host.
class FromHost final : public Comm {
 public:
    FromHost(Comm& device, Stream stream) : device_(device), stream_(stream) {}
    int rank() const override { return device_.rank(); }
    int size() const override { return device_.size(); }
    std::unique_ptr<Comm> split(int) override { return nullptr; }
    void broadcast(void* x, size_t bytes, int root) override {
        count_bytes(int64_t(bytes), 1);
        const Buffer held = send(x, bytes);
        device_.broadcast(held.as(), bytes, root);
        back(x, held, bytes);
    }
    void barrier() override { device_.barrier(); }
    void finish() override {
        device_.finish();
        for (const Started& s : started_) back(s.to, s.got, s.bytes);
        started_.clear();
    }
    void abort(int code) override { device_.abort(code); }

 private:
    struct Buffer {
        std::shared_ptr<Numbers<char>> numbers;
        template <class T = char>
        T* as() const {
            return reinterpret_cast<T*>(numbers->data());
        }
    };
    struct Started {
        void* to;
        Buffer got, sent;
        size_t bytes;
    };
    Buffer send(const void* x, size_t bytes) const {
        const auto* begin = static_cast<const char*>(x);
        return {std::make_shared<Numbers<char>>(stream_, std::vector<char>(begin, begin + bytes))};
    }
    static void back(void* x, const Buffer& held, size_t bytes) {
        if (bytes > 0) std::memcpy(x, held.numbers->values().data(), bytes);
    }
    // act(a value of the type)
    template <class F>
    static void of_type(Number type, F act) {
        if (type == Number::f32) return act(float());
        if (type == Number::f64) return act(double());
        act(int64_t());
    }
    void reduce(void* x, int64_t count, Number type) override {
        const size_t bytes = size_t(count) * bytes_of(type);
        const Buffer held = send(x, bytes);
        of_type(type, [&]<class T>(T) { device_.all_reduce(held.as<T>(), count); });
        back(x, held, bytes);
    }
    void start_reduce(void* x, int64_t count, Number type) override {
        const size_t bytes = size_t(count) * bytes_of(type);
        const Buffer held = send(x, bytes);
        of_type(type, [&]<class T>(T) { device_.start_all_reduce(held.as<T>(), count); });
        started_.push_back({x, held, held, bytes});
    }
    void scatter(void* out, const void* in, const int64_t* counts, Number type) override {
        const size_t own = size_t(counts[rank()]) * bytes_of(type);
        const Buffer got = send(out, own), sent = send(in, size_t(sum(counts)) * bytes_of(type));
        of_type(type, [&]<class T>(T) { device_.reduce_scatter(got.as<T>(), sent.as<const T>(), counts); });
        back(out, got, own);
    }
    void start_scatter(void* out, const void* in, const int64_t* counts, Number type) override {
        const size_t own = size_t(counts[rank()]) * bytes_of(type);
        const Buffer got = send(out, own), sent = send(in, size_t(sum(counts)) * bytes_of(type));
        of_type(type, [&]<class T>(T) { device_.start_reduce_scatter(got.as<T>(), sent.as<const T>(), counts); });
        started_.push_back({out, got, sent, own});
    }
    void gather(void* out, const void* in, const int64_t* counts, size_t item) override {
        const size_t all = size_t(sum(counts)) * item, own = size_t(counts[rank()]) * item;
        size_t begin = 0;
        for (int r = 0; r < rank(); r++) begin += size_t(counts[r]) * item;
        const Buffer got = send(out, all), sent = send(in, own);
        const bool in_place = in == static_cast<char*>(out) + begin;
        ASSERT_EQ(item, sizeof(double));
        device_.all_gather(got.as<double>(), in_place ? got.as<const double>() + begin / item : sent.as<const double>(),
                           counts);
        back(out, got, all);
    }
    void gather(void* out, const void* in, int64_t count, size_t item) override {
        const size_t own = size_t(count) * item, all = own * size_t(size());
        const Buffer got = send(out, all), sent = send(in, own);
        device_.all_gather(got.as(), sent.as<const char>(), int64_t(own));
        back(out, got, all);
    }
    void exchange(void* out, const int64_t* out_counts, const void* in, const int64_t* in_counts,
                  size_t item) override {
        ASSERT_EQ(item, sizeof(int));
        const size_t received = size_t(sum(out_counts)) * item;
        const Buffer got = send(out, received), sent = send(in, size_t(sum(in_counts)) * item);
        device_.all_to_all(got.as<int>(), out_counts, sent.as<const int>(), in_counts);
        back(out, got, received);
    }

    Comm& device_;
    Stream stream_;
    std::vector<Started> started_;
};

TEST_F(NcclGroups, EveryCollectiveDoesAsTheHostsDo) {
    for (const auto communicator : {Communicator::staged, Communicator::nccl})
        for (const auto order : {emu::Order::forward, emu::Order::reverse, emu::Order::seeded}) {
            emu::options().order = order;
            run_threads(4, [&](Comm& world) {
                const Seat seat(world, {}, parallel(600, communicator));
                EXPECT_EQ(seat.mesh.data->only_queues(), communicator == Communicator::nccl);
                FromHost group(*seat.mesh.data, seat.stream.get());
                exercise_collectives(group);
            });
        }
}

// Equal, ragged and empty parts, of numbers that tell where they come from.
TEST_F(NcclGroups, PartsOfAnySizeArrive) {
    run_threads(3, [&](Comm& world) {
        const Seat seat(world);
        Comm& group = *seat.mesh.data;
        const int r = world.rank();
        for (const std::vector<int64_t>& counts :
             {std::vector<int64_t>{2, 2, 2}, {3, 0, 1}, {0, 0, 4}, {0, 5, 0}, {0, 0, 0}, {1, 1, 0}}) {
            SCOPED_TRACE(testing::PrintToString(counts));
            int64_t all = 0, begin = 0;
            for (int p = 0; p < 3; p++) {
                if (p == r) begin = all;
                all += counts[size_t(p)];
            }
            const int64_t own = counts[size_t(r)];
            std::vector<float> terms, sums(size_t(own) + 1, -1), whole(size_t(all), -1), held(size_t(all) + 1, -1);
            for (int64_t k = 0; k < all; k++) terms.push_back(float(k * (r + 1)));
            for (int64_t k = 0; k < own; k++) sums[size_t(k)] = float(6 * (begin + k));
            for (int64_t k = 0; k < all; k++) whole[size_t(k)] = float(k);
            for (int64_t k = 0; k < own; k++) held[size_t(begin + k)] = float(begin + k);
            whole.push_back(-1);
            for (const bool aside : {false, true}) {
                const auto in = seat.numbers(terms), out = seat.numbers(std::vector<float>(size_t(own) + 1, -1));
                if (aside) {
                    group.start_reduce_scatter(out.data(), static_cast<const float*>(in.data()), counts.data());
                    group.finish();
                } else {
                    group.reduce_scatter(out.data(), static_cast<const float*>(in.data()), counts.data());
                }
                EXPECT_EQ(out.values(), sums);
            }
            const auto in_place = seat.numbers(held);
            group.all_gather(in_place.data(), static_cast<const float*>(in_place.data()) + begin, counts.data());
            EXPECT_EQ(in_place.values(), whole);
        }
        // Rank 0 sends nothing to rank 1, rank 2 nothing at all, and rank 1 to itself.
        const std::vector<int64_t> sent[] = {{1, 0, 2}, {1, 2, 0}, {0, 0, 0}},
                                   got[] = {{1, 1, 0}, {0, 2, 0}, {2, 0, 0}};
        const std::vector<float> arrives[] = {{0, 10, -1}, {11, 12, -1}, {1, 2, -1}};
        const float f = 10 * float(r);
        const auto in = seat.numbers({f, f + 1, f + 2}), out = seat.numbers({-1, -1, -1});
        group.all_to_all(out.data(), got[r].data(), static_cast<const float*>(in.data()), sent[r].data());
        EXPECT_EQ(out.values(), arrives[r]);
        // Nobody sends anything to another one.
        std::vector<int64_t> own(3, 0);
        own[size_t(r)] = 2;
        group.all_to_all(out.data(), own.data(), static_cast<const float*>(in.data()), own.data());
        EXPECT_EQ(out.values()[1], f + 1);
    });
}

TEST_F(NcclGroups, SumsOfEveryTypeAreRight) {
    run_threads(2, [&](Comm& world) {
        const Seat seat(world);
        const Numbers<bf16> x(seat.stream.get(), {bf16(1.5f), bf16(float(world.rank()))});
        seat.mesh.data->all_reduce(x.data(), 2);
        EXPECT_EQ(float(x.values()[0]), 3);
        EXPECT_EQ(float(x.values()[1]), 1);
        const Numbers<int64_t> i(seat.stream.get(), {int64_t{1} << 60});
        seat.mesh.data->all_reduce(i.data(), 1);
        EXPECT_EQ(i.values()[0], int64_t{1} << 61);
    });
}

TEST_F(NcclGroups, WhatGoesTogetherIsOneLaunch) {
    run_threads(2, [&](Comm& world) {
        const Seat seat(world);
        Comm& group = *seat.mesh.data;
        const auto x = seat.numbers({1, 2}), y = seat.numbers({3, 4, 5}), z = seat.numbers({0, 0});
        const std::vector<int64_t> counts{2, 1};
        const auto launches = [&](const std::function<void()>& act) {
            seat.wait();
            world.barrier();
            const int64_t before = emu::nccl_launches();
            world.barrier();
            act();
            seat.wait();
            world.barrier();
            const int64_t launched = emu::nccl_launches() - before;
            world.barrier();
            return launched;
        };
        EXPECT_EQ(launches([&] { group.all_reduce(x.data(), 2); }), 2);
        EXPECT_EQ(launches([&] {
                      group.together([&] {
                          group.start_all_reduce(x.data(), 2);
                          group.start_reduce_scatter(z.data(), static_cast<const float*>(y.data()), counts.data());
                      });
                      group.finish();
                  }),
                  2);
        EXPECT_EQ(x.values(), (std::vector<float>{4, 8}));
        EXPECT_EQ(z.values()[0], world.rank() == 0 ? 6 : 10);
        EXPECT_EQ(launches([&] {
                      group.together([&] {
                          group.all_reduce(x.data(), 2);
                          group.all_gather(y.data(), static_cast<const float*>(y.data()) + 2 * world.rank(),
                                           counts.data());
                      });
                  }),
                  2);
        EXPECT_EQ(x.values(), (std::vector<float>{8, 16}));
        // Started ones must not go with others: these would run before what they are to follow.
        EXPECT_THROW(group.together([&] {
            group.all_reduce(x.data(), 2);
            group.start_all_reduce(y.data(), 3);
        }),
                     Failure);
        world.barrier();
        seat.wait();
    });
}

// Those of one of two ranks, as act() is called with the trainer of each.
template <class D>
int64_t launches_of(const Keys& keys, void (*act)(Trainer<D>&)) {
    int64_t launched = 0;
    const Config config = small_config(joined({"train.micro_batch=1", "parallel.communicator=nccl"}, keys));
    train_on<D>(2, config, [&](Trainer<D>& trainer, Comm& world) {
        world.barrier();
        const int64_t before = emu::nccl_launches();
        world.barrier();
        act(trainer);
        world.barrier();
        if (world.rank() == 0) launched = (emu::nccl_launches() - before) / 2;
        world.barrier();
    });
    return launched;
}
void step(Trainer<B>& trainer) { trainer.step(small_samples); }

// The gradients of a block are one launch, and so are the weights after an update with zero.
TEST_F(NcclGroups, AStepHasOneLaunchABlock) {
    const auto launches = [](int layers, int zero) {
        return launches_of<B>({"model.layers=" + std::to_string(layers), "parallel.zero=" + std::to_string(zero)},
                              step);
    };
    const int64_t two = launches(2, 0), with_zero = launches(2, 1);
    EXPECT_EQ(launches(4, 0) - two, 2);
    EXPECT_EQ(launches(4, 1) - with_zero, 2);
    EXPECT_EQ(with_zero - two, 1);
}

// And so are the sums of a block's gradients over tensor ranks, however many they are, and weights that are rounded.
TEST_F(NcclGroups, SumsOverTensorRanksAndRoundedWeightsGoTogether) {
    const auto launches = [](const char* norms) {
        return launches_of<B>({"parallel.tensor=2", "parallel.sequence=true", norms}, step);
    };
    EXPECT_EQ(launches("model.qk_norm=true"), launches("model.qk_norm=false"));
    using Bf16 = Cuda<bf16>;
    EXPECT_EQ(launches_of<Bf16>({"parallel.zero=1"}, [](Trainer<Bf16>& trainer) { trainer.round_weights(); }), 1);
}

// A started sum takes what was queued before it, and what is queued after finish() takes the sum; no event may be
// missing between them.
TEST_F(NcclGroups, StartedOnesAreInOrderWithWhatIsAroundThem) {
    for (const auto order : {emu::Order::forward, emu::Order::reverse, emu::Order::seeded})
        for (const bool together : {false, true}) {
            emu::options().order = order;
            run_threads(2, [&](Comm& world) {
                const Seat seat(world);
                Comm& group = *seat.mesh.data;
                Memory& memory = memory_of<B>();
                const auto one = seat.numbers(std::vector<float>(64, 1)), x = seat.numbers(std::vector<float>(64, 7)),
                           y = seat.numbers(std::vector<float>(64, 7)), sum = seat.numbers(std::vector<float>(64, 7));
                for (int i = 0; i < 3; i++) {
                    memory.copy(seat.stream.get(), x.data(), one.data(), 256);
                    if (together)
                        group.together([&] {
                            group.start_all_reduce(x.data(), 64);
                            memory.copy(seat.stream.get(), y.data(), one.data(), 256);
                            group.start_all_reduce(y.data(), 64);
                        });
                    else
                        group.start_all_reduce(x.data(), 64);
                    group.finish();
                    memory.copy(seat.stream.get(), sum.data(), together ? y.data() : x.data(), 256);
                }
                EXPECT_EQ(sum.values(), std::vector<float>(64, 2));
            });
        }
}

// Within a started sum its numbers must be left alone: the emulator says so, and so the test above is worth something.
TEST_F(NcclGroups, WithoutAFinishTheSumIsARace) {
    EXPECT_THROW(run_threads(2,
                             [&](Comm& world) {
                                 const Seat seat(world);
                                 const auto x = seat.numbers(std::vector<float>(64, 1));
                                 seat.mesh.data->start_all_reduce(x.data(), 64);
                                 memory_of<B>().zero(seat.stream.get(), x.data(), 256);
                                 seat.mesh.data->finish();
                                 seat.wait();
                             }),
                 Failure);
}

// ---------------------------------------------------------------- communicators
// Groups of the same ranks share one, and the plan's reserve counts those that are left.
TEST_F(NcclGroups, ThereAreAsManyCommunicatorsAsThePlanCounts) {
    for (const MeshShape& shape : {MeshShape{1, 1, false, 1},
                                   {2, 1, false, 1},
                                   {2, 1, true, 2},
                                   {4, 1, false, 2},
                                   {4, 1, true, 4},
                                   {1, 2, false, 1},
                                   {1, 4, false, 1},
                                   {2, 2, true, 1}}) {
        const int64_t before = emu::nccl_communicators();
        run_threads(4, [&](Comm& world) { const Seat seat(world, shape); });
        const DeviceReserve reserve = device_reserve(mesh_coord(shape, 4, 0), shape.replicas);
        const double groups = (reserve.nccl - (shape.expert > 1 ? 3.3e9 : 0)) / double(688 << 20);
        EXPECT_EQ(double(emu::nccl_communicators() - before), 4 * groups)
            << shape.tensor << shape.expert << shape.replicas;
    }
}

TEST_F(NcclGroups, APartOfAGroupIsAGroup) {
    run_threads(4, [&](Comm& world) {
        const Seat seat(world);
        const auto pair = seat.mesh.data->split(world.rank() / 2), alone = seat.mesh.data->split(world.rank());
        const auto x = seat.numbers({float(world.rank())});
        alone->all_reduce(x.data(), 1);
        pair->all_reduce(x.data(), 1);
        EXPECT_EQ(x.values()[0], world.rank() < 2 ? 1 : 5);
    });
}

// ---------------------------------------------------------------- which communicator
TEST_F(NcclGroups, AutoTakesNcclWhereAllRanksCan) {
    const auto with = [](int version, Communicator communicator, std::string& why) {
        emu::options().nccl_version = version;
        bool queues = false;
        run_threads(2, [&](Comm& world) {
            const std::string mine = why_no_nccl<B>(world);
            if (world.rank() == 1) why = mine;
            const Seat seat(world, {}, parallel(600, communicator));
            if (world.rank() == 1) queues = seat.mesh.data->only_queues();
        });
        return queues;
    };
    std::string why;
    EXPECT_TRUE(with(22809, Communicator::automatic, why));
    EXPECT_EQ(why, "");
    EXPECT_FALSE(with(22809, Communicator::staged, why));
    EXPECT_TRUE(with(21800, Communicator::nccl, why));
    EXPECT_FALSE(with(21705, Communicator::automatic, why));
    EXPECT_EQ(why, "NCCL 2.17.5 is too old: install 2.18.0 or later");
    EXPECT_FALSE(with(0, Communicator::automatic, why));
    EXPECT_TRUE(has(why, "is not found: install it, or add its folder to LD_LIBRARY_PATH")) << why;
    try {
        with(0, Communicator::nccl, why);
        ADD_FAILURE() << "without NCCL";
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Exit::config);
        EXPECT_TRUE(has(failure.what(), "parallel.communicator: nccl: NCCL (")) << failure.what();
    }
}

// What one rank lacks, all lack, and all say the same.
TEST_F(NcclGroups, RanksDecideAlike) {
    run_threads(3, [](Comm& world) {
        const auto lacks = [&](int rank) {
            return why_no_nccl(world, [&](bool one_process) {
                EXPECT_TRUE(one_process);
                return world.rank() >= rank ? "rank " + std::to_string(world.rank()) + " lacks it" : std::string();
            });
        };
        EXPECT_EQ(lacks(1), "rank 1 lacks it");
        EXPECT_EQ(lacks(0), "rank 0 lacks it");
        EXPECT_EQ(lacks(3), "");
    });
    EXPECT_TRUE(has(nccl_lacks<B>(false), "between threads of one process"));
}

TEST_F(NcclGroups, VersionsAreText) {
    EXPECT_EQ(nccl_version_text(22809), "2.28.9");
    EXPECT_EQ(nccl_version_text(20900), "2.9.0");
    EXPECT_EQ(nccl_version_text(2804), "2.8.4");
}

// NCCL itself, where it is installed: it loads without a GPU, and has every function.
TEST_F(NcclGroups, TheLibraryLoadsWhereItIs) {
    EXPECT_TRUE(has(load_nccl("libnccl_that_is_missing.so.2").why, "is not found: install it"));
    EXPECT_TRUE(has(load_nccl("libm.so.6").why, "libm.so.6 lacks nccl")) << load_nccl("libm.so.6").why;
    for (const char* path : {"/usr/local/cuda/lib64/libnccl.so.2", "/usr/local/cuda/lib/libnccl.so.2",
                             "/usr/lib/x86_64-linux-gnu/libnccl.so.2"})
        if (std::filesystem::exists(path)) {
            EXPECT_EQ(load_nccl(path).why, "");
            return;
        }
    GTEST_SKIP() << "no NCCL here";
}

}  // namespace
}  // namespace sluice
