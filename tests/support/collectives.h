// What any four ranks must do, whatever carries them: every collective, on the whole group and on parts of it.
#pragma once
#include <gtest/gtest.h>

#include <vector>

#include "parallel/mesh.h"

namespace sluice {

inline void exercise_collectives(Comm& comm) {
    ASSERT_EQ(comm.size(), 4);
    const int r = comm.rank();
    const int64_t before = comm.bytes();
    std::vector<float> f{float(r), 1};
    std::vector<double> d{0.1 * r};
    std::vector<int64_t> i{int64_t{1} << (20 * r)};
    comm.all_reduce(f.data(), 2);
    comm.all_reduce(d.data(), 1);
    comm.all_reduce(i.data(), 1);
    EXPECT_EQ(f, (std::vector<float>{6, 4}));
    EXPECT_DOUBLE_EQ(d[0], 0.6);
    EXPECT_EQ(i[0], 1 + (int64_t{1} << 20) + (int64_t{1} << 40) + (int64_t{1} << 60));

    std::vector<int> all(4);
    comm.all_gather(all.data(), &r, 1);
    EXPECT_EQ(all, (std::vector<int>{0, 1, 2, 3}));
    int x = r;
    comm.broadcast(&x, sizeof x, 2);
    EXPECT_EQ(x, 2);
    comm.barrier();
    EXPECT_EQ(comm.bytes() - before, 8 + 8 + 8 + 4 + 4);

    // Ragged parts, one of them empty: rank r has counts[r] of 0, 1, 2, ...
    const std::vector<int64_t> counts{2, 0, 1, 3};
    int64_t begin = 0;
    for (int p = 0; p < r; p++) begin += counts[size_t(p)];
    std::vector<double> whole(6), part(static_cast<size_t>(counts[size_t(r)]));
    for (size_t k = 0; k < part.size(); k++) part[k] = double(begin) + double(k);
    comm.all_gather(whole.data(), part.data(), counts.data());
    EXPECT_EQ(whole, (std::vector<double>{0, 1, 2, 3, 4, 5}));
    std::vector<double> in_place(6, -1);
    std::copy(part.begin(), part.end(), in_place.begin() + begin);
    comm.all_gather(in_place.data(), in_place.data() + begin, counts.data());
    EXPECT_EQ(in_place, whole);

    std::vector<double> mine(part.size() + 1, -1), terms;
    for (int k = 0; k < 6; k++) terms.push_back(k * (r + 1));
    comm.reduce_scatter(mine.data(), terms.data(), counts.data());
    for (size_t k = 0; k < part.size(); k++) EXPECT_EQ(mine[k], 10 * (double(begin) + double(k)));
    EXPECT_EQ(mine.back(), -1) << "written past its part";

    // Several at once, done together.
    std::vector<float> a(1000, float(r)), b(6, float(r + 1)), c(part.size() + 1);
    comm.start_all_reduce(a.data(), 1000);
    comm.start_reduce_scatter(c.data(), b.data(), counts.data());
    comm.finish();
    EXPECT_EQ(a, std::vector<float>(1000, 6));
    for (size_t k = 0; k < part.size(); k++) EXPECT_EQ(c[k], 10);
    comm.finish();  // nothing left

    // Rank r sends p + r copies of 10 r + p to rank p.
    std::vector<int64_t> sent, received;
    std::vector<int> out, in, expected;
    for (int p = 0; p < 4; p++) {
        sent.push_back(p + r);
        received.push_back(r + p);
        out.insert(out.end(), size_t(p + r), 10 * r + p);
        expected.insert(expected.end(), size_t(r + p), 10 * p + r);
    }
    in.resize(expected.size());
    comm.all_to_all(in.data(), received.data(), out.data(), sent.data());
    EXPECT_EQ(in, expected);
}

inline void exercise_mesh(Comm& comm) {
    const int r = comm.rank();
    const auto odd = comm.split(r % 2);
    EXPECT_EQ(odd->size(), 2);
    EXPECT_EQ(odd->rank(), r / 2);
    std::vector<int64_t> x{r};
    odd->all_reduce(x.data(), 1);
    EXPECT_EQ(x[0], r % 2 ? 4 : 2);

    Mesh mesh(comm, {2, 2, true, 2});  // data 2 x tensor 2, experts over both data ranks
    EXPECT_EQ(mesh.coord.data_rank, r / 2);
    EXPECT_EQ(mesh.coord.tensor_rank, r % 2);
    for (const auto& [group, members] : {std::pair{mesh.data.get(), r % 2 ? 4 : 2},
                                         {mesh.tensor.get(), r / 2 ? 5 : 1},
                                         {mesh.replicas.get(), r / 2 ? 5 : 1},
                                         {mesh.expert.get(), r % 2 ? 4 : 2},
                                         {mesh.expert_data.get(), r},
                                         {mesh.sequence.get(), r / 2 ? 5 : 1},
                                         {mesh.hidden.get(), r}}) {
        std::vector<double> sum{double(r)};
        group->all_reduce(sum.data(), 1);
        EXPECT_EQ(sum[0], members);
        EXPECT_EQ(group->bytes(), group->size() > 1 ? 8 : 0);
    }
}

}  // namespace sluice
