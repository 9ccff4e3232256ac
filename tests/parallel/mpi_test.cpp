// Ranks as processes: run by ctest under mpirun -n 4. Every rank runs every test.
#include <gtest/gtest.h>

#include "support/collectives.h"

namespace sluice {
namespace {

Comm* world = nullptr;

TEST(Mpi, Collectives) { exercise_collectives(*world); }
TEST(Mpi, Mesh) { exercise_mesh(*world); }

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    const auto comm = sluice::world_comm();
    sluice::set_mpi_timeout(60);
    sluice::world = comm.get();
    return RUN_ALL_TESTS();
}
