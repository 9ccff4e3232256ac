// Random numbers stay what they were: weights of a seed, the order of samples and draws of text depend on them.
#include "base/rng.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice {
namespace {

TEST(Rng, StaysWhatItWas) {
    EXPECT_EQ(mix(1, 2), 0xcc2a9c30d4d9e843u);
    EXPECT_EQ(mix(2, 1), 0x57e7b069fff1380au);
    EXPECT_EQ(hash_name("a"), 0xaf63dc4c8601ec8cu);  // as published for FNV-1a of 64 bits
    EXPECT_EQ(hash_name(""), 0xcbf29ce484222325u);
    EXPECT_DOUBLE_EQ(uniform(7, 0), 0.020082800653643207);
    EXPECT_DOUBLE_EQ(uniform(7, 3), 0.79184232897035967);
    EXPECT_NEAR(normal(7, 0), -2.6673937582460439, 1e-14);
    EXPECT_NEAR(normal(7, 3), -0.09023982316641499, 1e-14);
}

// Moments of 100,000, to five of their own deviations.
TEST(Rng, NormalIsNormalAndNeighboursAreIndependent) {
    constexpr int kCount = 100000;
    double sum = 0, squares = 0, fourth = 0, product = 0, before = 0;
    for (uint64_t i = 0; i < kCount; i++) {
        const double x = normal(3, i);
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
        product += x * before;
        before = x;
    }
    EXPECT_NEAR(sum / kCount, 0, 5 / std::sqrt(kCount));
    EXPECT_NEAR(squares / kCount, 1, 5 * std::sqrt(2.0 / kCount));
    EXPECT_NEAR(fourth / kCount, 3, 5 * std::sqrt(96.0 / kCount));
    EXPECT_NEAR(product / kCount, 0, 5 / std::sqrt(kCount));
}

}  // namespace
}  // namespace sluice
