// Ranks as threads: every collective, sums in a fixed order, and a rank that fails releases the others.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "parallel/comm.h"
#include "support/collectives.h"

namespace sluice {
namespace {

TEST(Threads, Collectives) { run_threads(4, exercise_collectives); }
TEST(Threads, Mesh) { run_threads(4, exercise_mesh); }

TEST(Threads, SumsGoInRankOrder) {
    run_threads(4, [](Comm& comm) {
        double x = 0.1 * comm.rank();
        comm.all_reduce(&x, 1);
        EXPECT_EQ(x, 0.0 + 0.1 + 0.2 + 0.1 * 3);
    });
}

// Whatever group it waits in.
TEST(Threads, OneThatFailsReleasesThoseInOtherGroups) {
    EXPECT_THROW(run_threads(4,
                             [](Comm& comm) {
                                 const auto pair = comm.split(comm.rank() / 2);
                                 if (comm.rank() == 0) fail(Exit::data, "the cause");
                                 for (;;) pair->barrier();
                             }),
                 Failure);
}

// Parts cover the whole in order; the last may be smaller or empty.
TEST(Slice, CoversTheWhole) {
    for (int64_t total : {0, 1, 5, 6, 7, 100})
        for (int64_t parts : {1, 2, 3, 8}) {
            int64_t at = 0;
            for (int64_t p = 0; p < parts; p++) {
                EXPECT_EQ(slice_of(total, parts, p).begin, at);
                at = slice_of(total, parts, p).end;
                EXPECT_LE(slice_of(total, parts, p).size(), ceil_div(total, parts));
            }
            EXPECT_EQ(at, total);
        }
}

TEST(Threads, OneThatFailsReleasesTheOthersAndIsNamed) {
    std::atomic<int> released{0};
    try {
        run_threads(3, [&](Comm& comm) {
            if (comm.rank() == 1) fail(Exit::data, "the cause");
            try {
                comm.barrier();
            } catch (const Failure& f) {
                EXPECT_EQ(f.code(), Exit::peer_lost);
                released++;
                throw;
            }
        });
        FAIL();
    } catch (const Failure& f) { EXPECT_STREQ(f.what(), "the cause"); }
    EXPECT_EQ(released, 2);
}

// As a watch does it: from a thread that no rank waits for, by a group in which the rank has another number.
TEST(Threads, OneThatAbortsEndsAllWithItsCode) {
    std::atomic<int> ended{0};
    try {
        run_threads(3, [&](Comm& comm) {
            const auto part = comm.split(comm.rank() == 0);
            if (comm.rank() == 2) std::thread([&] { EXPECT_THROW(part->abort(int(Exit::disk)), Failure); }).join();
            try {
                comm.barrier();
            } catch (const Failure& f) {
                EXPECT_EQ(f.code(), Exit::peer_lost);
                EXPECT_TRUE(part->who_is_lost().starts_with("lost: rank 2 on ")) << part->who_is_lost();
                ended++;
                throw;
            }
        });
        FAIL();
    } catch (const Failure& f) {
        EXPECT_EQ(f.code(), Exit::disk);
        EXPECT_STREQ(f.what(), "rank 2 ended the run");
    }
    EXPECT_EQ(ended, 3);
}

TEST(Solo, IsAnIdentity) {
    const auto comm = solo_comm();
    std::vector<double> x{1.5};
    comm->all_reduce(x.data(), 1);
    EXPECT_EQ(x[0], 1.5);
    int in = 3, out = 0;
    comm->all_gather(&out, &in, 1);
    EXPECT_EQ(out, 3);
}

}  // namespace
}  // namespace sluice
