// The order of samples stays what it was: a run goes on in the order in which it began.
#include "data/permutation.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Permutation, StaysWhatItWas) {
    const uint64_t order[] = {18, 927, 414, 106, 161, 629, 474, 763};
    for (uint64_t i = 0; i < 8; i++) EXPECT_EQ(permute(7, 1000, i), order[i]) << i;
}

}  // namespace
}  // namespace sluice
