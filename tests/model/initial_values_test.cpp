// Initial values are those of the whole tensor, whoever holds which part of it and however many threads compute it.
#include "model/initial_values.h"

#include <gtest/gtest.h>
#include <omp.h>

#include "base/rng.h"

namespace sluice {
namespace {

TensorInfo part(Box box, Init init = {Init::normal, 0.02}) {
    const int64_t count = volume(box.shape);
    return {"layers.0.w", {300, 200}, init, Role::map, {}, std::move(box), 0, count};
}
std::vector<float> values(const TensorInfo& tensor, int threads) {
    std::vector<float> to(size_t(tensor.count), 9.0f);
    omp_set_num_threads(threads);
    initial_values(to.data(), tensor, 5);
    omp_set_num_threads(1);
    return to;
}

TEST(InitialValues, AreThoseOfTheWholeOnAnyPartAndThreads) {
    const std::vector<float> whole = values(part({{0, 0}, {300, 200}}), 1);
    const uint64_t key = mix(5, hash_name("layers.0.w"));
    for (size_t i : {0, 1, 16383, 16384, 59999}) EXPECT_EQ(whole[i], float(0.02 * normal(key, i))) << i;
    EXPECT_EQ(values(part({{0, 0}, {300, 200}}), 3), whole);
    for (const Box& box : {Box{{100, 0}, {150, 200}}, Box{{0, 70}, {300, 130}}, Box{{299, 199}, {1, 1}}}) {
        const std::vector<float> values_of_part = values(part(box), 2);
        for (int64_t r = 0; r < box.shape[0]; r++)
            for (int64_t c = 0; c < box.shape[1]; c++)
                ASSERT_EQ(values_of_part[size_t(r * box.shape[1] + c)],
                          whole[size_t((box.start[0] + r) * 200 + box.start[1] + c)])
                    << r << " " << c;
    }
    EXPECT_TRUE(values(part({{5, 0}, {0, 200}}), 2).empty());
}

TEST(InitialValues, ConstantsAreConstant) {
    const Box box{{10, 0}, {2, 200}};
    EXPECT_EQ(values(part(box, {Init::one}), 2), std::vector<float>(400, 1.0f));
    EXPECT_EQ(values(part(box, {Init::zero}), 2), std::vector<float>(400, 0.0f));
}

}  // namespace
}  // namespace sluice
