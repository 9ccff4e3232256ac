// Ranks as threads: sums in a fixed order, and a rank that fails releases the others.
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "base/check.h"
#include "parallel/comm.h"

namespace sluice {
namespace {

TEST(Threads, Collectives) {
    run_threads(4, [](Comm& comm) {
        const int r = comm.rank();
        std::vector<float> f{float(r), 1};
        std::vector<double> d{0.1 * r};
        std::vector<int64_t> i{int64_t{1} << (20 * r)};
        comm.all_reduce(f.data(), 2);
        comm.all_reduce(d.data(), 1);
        comm.all_reduce(i.data(), 1);
        EXPECT_EQ(f, (std::vector<float>{6, 4}));
        EXPECT_EQ(d[0], 0.0 + 0.1 + 0.2 + 0.1 * 3);  // in rank order
        EXPECT_EQ(i[0], 1 + (int64_t{1} << 20) + (int64_t{1} << 40) + (int64_t{1} << 60));
        std::vector<int> all(4);
        comm.all_gather(all.data(), &r, 1);
        EXPECT_EQ(all, (std::vector<int>{0, 1, 2, 3}));
        int x = r;
        comm.broadcast(&x, sizeof x, 2);
        EXPECT_EQ(x, 2);
        comm.barrier();
        EXPECT_EQ(comm.bytes(), 8 + 8 + 8 + 4 + 4);
    });
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
