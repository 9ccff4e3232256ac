// What fails on one rank ends all with the same code.
#include "parallel/collective.h"

#include <gtest/gtest.h>

#include <new>

#include "base/check.h"

namespace sluice {
namespace {

// What `on_all_ranks` returns on each of three ranks, of which each does its own.
std::vector<int> codes(const std::function<void(int rank)>& body) {
    std::vector<int> codes(3, -1);
    run_threads(3, [&](Comm& comm) { codes[size_t(comm.rank())] = on_all_ranks(comm, [&] { body(comm.rank()); }); });
    return codes;
}

TEST(OnAllRanks, AllReturnTheCodeOfTheFirstThatFails) {
    EXPECT_EQ(codes([](int) {}), (std::vector<int>{0, 0, 0}));
    EXPECT_EQ(codes([](int rank) {
                  if (rank == 1) fail(Exit::data, "a shard is missing");
              }),
              (std::vector<int>(3, int(Exit::data))));
    EXPECT_EQ(codes([](int rank) {
                  if (rank > 0) fail(rank == 1 ? Exit::checkpoint : Exit::disk, "each its own");
              }),
              (std::vector<int>(3, int(Exit::checkpoint))));
    EXPECT_EQ(codes([](int rank) {
                  if (rank == 2) throw std::bad_alloc();
              }),
              (std::vector<int>(3, int(Exit::out_of_memory))));
}

}  // namespace
}  // namespace sluice
