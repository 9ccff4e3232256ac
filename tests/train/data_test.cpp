// Samples: every one once an epoch, whatever the ranks; shares by weight; shards of every format; bad ones refused.
#include "train/data.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <set>

#include "base/check.h"
#include "base/permutation.h"
#include "support/folder.h"

namespace sluice {
namespace {

DataSpec spec(std::vector<DataSource> sources, int64_t length) {
    DataSpec d;
    d.train = std::move(sources);
    d.sequence_length = length;
    return d;
}
std::vector<int32_t> count_from(int32_t first, size_t count) {
    std::vector<int32_t> tokens(count);
    for (size_t i = 0; i < count; i++) tokens[i] = first + int32_t(i);
    return tokens;
}

TEST(Permutation, IsOneAndDependsOnTheKey) {
    for (const uint64_t n : {1u, 2u, 3u, 16u, 17u, 1000u, 65537u}) {
        std::set<uint64_t> seen;
        for (uint64_t i = 0; i < n; i++) seen.insert(permute(7, n, i));
        EXPECT_EQ(seen.size(), n);
        EXPECT_EQ(*seen.rbegin(), n - 1);
    }
    int same = 0;
    for (uint64_t i = 0; i < 1000; i++) same += permute(1, 1000, i) == permute(2, 1000, i);
    EXPECT_LT(same, 20);
}

TEST(TrainingData, AnEpochHoldsEverySampleOnce) {
    const Folder folder;
    write_shard(folder / "a_0.bin", count_from(0, 41), 1000);    // 10 samples of 4, none across the end
    write_shard(folder / "a_1.bin", count_from(100, 20), 1000);  // 4 samples
    TrainingData data(spec({{(folder / "a_*.bin").string(), 1}}, 4), 1000, 5);
    EXPECT_EQ(data.samples_per_epoch(0), 14);
    std::vector<int32_t> tokens(5);
    std::vector<std::vector<int32_t>> orders;
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        std::vector<int32_t> order;
        for (int64_t i = 0; i < 14; i++) {
            data.sample(epoch * 14 + i, tokens.data());
            EXPECT_EQ(tokens, count_from(tokens[0], 5));
            EXPECT_EQ(tokens[0] % 4, 0);
            order.push_back(tokens[0]);
        }
        EXPECT_EQ(std::set<int32_t>(order.begin(), order.end()).size(), 14u);
        orders.push_back(order);
    }
    EXPECT_NE(orders[0], orders[1]);
    TrainingData other(spec({{(folder / "a_*.bin").string(), 1}}, 4), 1000, 6);
    other.sample(0, tokens.data());
    const int32_t first = tokens[0];
    other.sample(1, tokens.data());
    EXPECT_FALSE(first == orders[0][0] && tokens[0] == orders[0][1]) << "the seed changes nothing";
}

TEST(TrainingData, SourcesGetTheirShares) {
    const Folder folder;
    for (int i = 0; i < 3; i++) write_shard(folder / (std::to_string(i) + ".bin"), count_from(1000 * i, 101), 5000);
    TrainingData data(
        spec({{(folder / "0.bin").string(), 5}, {(folder / "1.bin").string(), 3}, {(folder / "2.bin").string(), 2}},
             10),
        5000, 1);
    std::vector<int32_t> tokens(11);
    std::map<int, int> picks;
    std::map<int, std::set<int32_t>> epoch;
    for (int64_t n = 0; n < 1000; n++) {
        data.sample(n, tokens.data());
        const int source = tokens[0] / 1000;
        if (picks[source]++ < 10) epoch[source].insert(tokens[0]);
    }
    EXPECT_NEAR(picks[0], 500, 1);
    EXPECT_NEAR(picks[1], 300, 2);
    EXPECT_NEAR(picks[2], 200, 2);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(epoch[i].size(), 10u) << "the first ten samples of a source are its first epoch";
}

TEST(ValidationData, IsOneStreamOverShards) {
    const Folder folder;
    write_shard(folder / "a.bin", count_from(0, 7), 100);
    write_shard(folder / "b.bin", count_from(7, 5), 100);
    ValidationData data({"v", folder.path().string()}, 100);
    std::vector<int32_t> tokens(9);
    data.read(2, 9, tokens.data());
    EXPECT_EQ(tokens, count_from(2, 9));
    EXPECT_FALSE(data.text_bytes());
    write_notes(folder.path(), {"bytes", 50, 100, {{"a.bin", 70}, {"b.bin", 50}}});
    EXPECT_EQ(*ValidationData({"v", folder.path().string()}, 100).text_bytes(), 120);
}

TEST(TokenShard, WideIdsAndMegatron) {
    const Folder folder;
    write_shard(folder / "wide.bin", {0, 70000, 151935}, 151936);
    TokenShard wide(folder / "wide.bin");
    std::vector<int32_t> tokens(3);
    wide.read(0, 3, tokens.data(), 151936);
    EXPECT_EQ(tokens, (std::vector<int32_t>{0, 70000, 151935}));

    const std::vector<int32_t> ids{5, 6, 7, 8, 9};
    std::ofstream(folder / "m.bin", std::ios::binary).write(reinterpret_cast<const char*>(ids.data()), 20);
    std::string index("MMIDIDX\0\0", 9);
    const auto put = [&](auto x) { index.append(reinterpret_cast<const char*>(&x), sizeof x); };
    put(uint64_t{1}), put(uint8_t{4}), put(uint64_t{2}), put(uint64_t{3});
    put(int32_t{2}), put(int32_t{3}), put(int64_t{0}), put(int64_t{8}), put(int64_t{0}), put(int64_t{1}),
        put(int64_t{2});
    std::ofstream(folder / "m.idx", std::ios::binary) << index;
    tokens.resize(5);
    TokenShard(folder / "m.bin").read(0, 5, tokens.data(), 10);
    EXPECT_EQ(tokens, ids);
    index[17] = 7;  // float
    std::ofstream(folder / "m.idx", std::ios::binary) << index;
    EXPECT_THROW(TokenShard(folder / "m.bin"), Failure);
}

TEST(TokenShard, RefusesWhatIsNotOne) {
    const Folder folder;
    const auto refuse = [&](std::vector<int32_t> header, size_t data) {
        header.resize(256);
        std::ofstream out(folder / "x.bin", std::ios::binary);
        out.write(reinterpret_cast<const char*>(header.data()), 1024);
        out << std::string(data, 'a');
        out.close();
        EXPECT_THROW(TokenShard(folder / "x.bin"), Failure);
    };
    refuse({20240520, 1, 10}, 19);
    refuse({20240520, 1, 10}, 21);
    refuse({20240520, 2, 10}, 20);
    refuse({20240520, 1, -1}, 0);
    refuse({20240521, 1, 10}, 20);
    refuse({20240801, 7, 10}, 20);
    EXPECT_THROW(TokenShard(folder.path()), Failure);
    EXPECT_THROW(shard_files((folder / "none*").string()), Failure);
}

}  // namespace
}  // namespace sluice
