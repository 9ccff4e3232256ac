// What launchers tell a process of its rank, before MPI starts.
#include <gtest/gtest.h>

#include <cstdlib>

#include "parallel/comm.h"

namespace sluice {
namespace {

class Launch : public testing::Test {
 protected:
    Launch() { clear(); }
    ~Launch() override { clear(); }
    static void clear() {
        for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK",
                                 "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS_PER_NODE"})
            unsetenv(name);
    }
    static void set(const char* name, const char* value) { setenv(name, value, 1); }
};

TEST_F(Launch, AloneThereIsOneRank) {
    EXPECT_EQ(launched_ranks(), 1);
    EXPECT_EQ(launched_rank(), 0);
    EXPECT_EQ(local_ranks(), 1);
}

TEST_F(Launch, OpenMpiTellsAll) {
    set("OMPI_COMM_WORLD_SIZE", "8");
    set("OMPI_COMM_WORLD_RANK", "5");
    set("OMPI_COMM_WORLD_LOCAL_SIZE", "4");
    EXPECT_EQ(launched_ranks(), 8);
    EXPECT_EQ(launched_rank(), 5);
    EXPECT_EQ(local_ranks(), 4);
}

TEST_F(Launch, PmiTellsAll) {
    set("PMI_SIZE", "6");
    set("PMI_RANK", "3");
    set("MPI_LOCALNRANKS", "2");
    EXPECT_EQ(launched_ranks(), 6);
    EXPECT_EQ(launched_rank(), 3);
    EXPECT_EQ(local_ranks(), 2);
}

// srun tells the rank, and how many ranks there are only later.
TEST_F(Launch, PmixTellsTheRankAlone) {
    set("PMIX_RANK", "2");
    set("SLURM_NTASKS_PER_NODE", "3");
    EXPECT_EQ(launched_ranks(), 0);
    EXPECT_EQ(launched_rank(), 2);
    EXPECT_EQ(local_ranks(), 3);
}

}  // namespace
}  // namespace sluice
