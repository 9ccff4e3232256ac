// Samples: every one once an epoch, whatever the ranks; shares by weight; shards of every format; bad ones refused.
#include "data/data.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <numeric>
#include <set>

#include "base/check.h"
#include "base/rng.h"
#include "data/blend.h"
#include "data/permutation.h"
#include "data/shard_set.h"
#include "data/shards.h"
#include "support/folder.h"

namespace sluice {
namespace {

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
            data.sample(epoch * 14 + i, tokens.data(), nullptr);
            EXPECT_EQ(tokens, count_from(tokens[0], 5));
            EXPECT_EQ(tokens[0] % 4, 0);
            order.push_back(tokens[0]);
        }
        EXPECT_EQ(std::set<int32_t>(order.begin(), order.end()).size(), 14u);
        orders.push_back(order);
    }
    EXPECT_NE(orders[0], orders[1]);
    TrainingData other(spec({{(folder / "a_*.bin").string(), 1}}, 4), 1000, 6);
    other.sample(0, tokens.data(), nullptr);
    const int32_t first = tokens[0];
    other.sample(1, tokens.data(), nullptr);
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
        data.sample(n, tokens.data(), nullptr);
        const int source = tokens[0] / 1000;
        if (picks[source]++ < 10) epoch[source].insert(tokens[0]);
    }
    EXPECT_EQ(picks[0], 500);
    EXPECT_EQ(picks[1], 300);
    EXPECT_EQ(picks[2], 200);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(epoch[i].size(), 10u) << "the first ten samples of a source are its first epoch";
    // A resume far into a run does not walk there.
    picks.clear();
    for (int64_t n = int64_t{1} << 40; n < (int64_t{1} << 40) + 1000; n++) {
        data.sample(n, tokens.data(), nullptr);
        picks[tokens[0] / 1000]++;
    }
    EXPECT_NEAR(picks[0], 500, 1);
    EXPECT_NEAR(picks[1], 300, 1);
}

TEST(Blend, EverySourceHasItsShareToWithinOneSample) {
    std::vector<std::vector<double>> cases{
        {1}, {1, 1}, {5, 3, 2}, {0.34, 0.33, 0.3, 0.03}, {1e-9, 1}, {32, 56, 13, 66, 54, 40, 47, 4}};
    cases.push_back(std::vector<double>(100, 0.01));
    for (size_t i = 0; i < 50; i++) {
        std::vector<double> random(2 + i % 9);
        for (size_t k = 0; k < random.size(); k++) random[k] = double(mix(i, k) % 1000 + 1) * (k % 3 == 0 ? 100 : 1);
        cases.push_back(random);
    }
    for (const auto& weights : cases) {
        const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
        Blend blend(weights), other(weights);
        std::vector<int64_t> counts(weights.size());
        for (int64_t n = 0; n < 5000; n++) {
            const Blend::Pick pick = blend.at(n);
            EXPECT_EQ(pick.index, counts[pick.source]++);
            for (size_t i = 0; i < weights.size(); i++)
                ASSERT_LT(std::abs(double(counts[i]) - double(n + 1) * weights[i] / sum), 1) << i << " after " << n;
        }
        for (const int64_t n : {4000, 17, 18, 18, 3999, 0}) {  // any order, the same
            const Blend::Pick a = blend.at(n), b = other.at(n);
            EXPECT_TRUE(a.source == b.source && a.index == b.index);
        }
    }
}

TEST(ValidationData, IsOneStreamOverShards) {
    const Folder folder;
    write_set(folder);
    DataSpec masked;
    masked.document_mask = true;
    ValidationData data(masked, {"v", folder.path().string()}, 100);
    std::vector<int32_t> tokens(9), first(9);
    data.read(2, 9, tokens.data(), first.data());
    EXPECT_EQ(tokens, count_from(2, 9));
    EXPECT_EQ(first, (std::vector<int32_t>{0, 0, 0, 3, 3, 3, 3, 3, 8}));
    EXPECT_EQ(*data.text_bytes(), 120);
    write_shard(folder / "foreign.bin", count_from(0, 7), 100);
    EXPECT_FALSE(ValidationData({}, {"v", folder.path().string()}, 100).text_bytes());
    EXPECT_THROW(ValidationData(masked, {"v", folder.path().string()}, 100), Failure);
    masked.delimiter = 3;
    ValidationData foreign(masked, {"v", (folder / "foreign.bin").string()}, 100);
    first.resize(7), tokens.resize(7);
    foreign.read(0, 7, tokens.data(), first.data());
    EXPECT_EQ(first, (std::vector<int32_t>{0, 0, 0, 3, 3, 3, 3}));
}

TEST(ShardSets, WhatDoesNotFitTogetherIsNamed) {
    const Folder folder;
    write_set(folder);
    const auto open = [&](int64_t vocab = 100) {
        return data_error([&] { ValidationData({}, {"v", folder.path().string()}, vocab); });
    };
    EXPECT_EQ(open(), "");
    EXPECT_EQ(shard_files((folder / "v.json").string()), shard_files(folder.path().string()));
    EXPECT_NE(open(11).find("v_000001.bin: holds id 11"), std::string::npos) << open(11);
    std::filesystem::rename(folder / "v_000001.bin", folder / "w");
    EXPECT_NE(open().find("v_000001.bin: is not there"), std::string::npos) << open();
    write_shard(folder / "v_000001.bin", {1, 2}, 100);
    EXPECT_NE(open().find("v_000001.documents"), std::string::npos) << open();
    std::filesystem::remove(folder / "v_000001.documents");
    EXPECT_NE(open().find("v_000001.bin: has 2 tokens"), std::string::npos) << open();
    std::filesystem::rename(folder / "w", folder / "v_000001.bin");
    write_shard(folder / "v_000002.bin", {1, 2}, 100);
    EXPECT_NE(open().find("v_000002.bin: v.json beside it does not list it"), std::string::npos) << open();
    std::filesystem::remove(folder / "v.json");
    std::filesystem::create_directory(folder / "v.partial");
    EXPECT_NE(open().find("interrupted"), std::string::npos) << open();
}

TEST(ShardSets, OneTokenizerForAll) {
    const Folder a, b;
    write_set(a), write_set(b, "0123");
    DataSpec d = spec({{a.path().string(), 1}}, 2);
    EXPECT_EQ(tokenizer_name(d), "bytes");
    d.validation = {{"b", b.path().string()}};
    EXPECT_NE(data_error([&] { tokenizer_name(d); }).find("another tokenizer"), std::string::npos);
    d.validation.clear();
    write_file(a / "t.model", "a model");
    d.tokenizer = (a / "t.model").string();
    EXPECT_NE(data_error([&] { tokenizer_name(d); }).find("fingerprint"), std::string::npos);
}

// Offsets beyond 2^32, in files that are mostly holes.
TEST(TokenShard, Offsets) {
    const Folder folder;
    const int64_t count = (int64_t{5} << 30) / 4;
    std::vector<int32_t> header(256);
    header[0] = 20240801, header[1] = 7, header[2] = int32_t(count);
    std::ofstream out(folder / "large.bin", std::ios::binary);
    out.write(reinterpret_cast<const char*>(header.data()), 1024);
    const std::vector<int32_t> end{7, 8, 9};
    out.seekp(1024 + 4 * (count - 3));
    out.write(reinterpret_cast<const char*>(end.data()), 12);
    out.close();
    std::vector<int32_t> tokens(3);
    TokenShard(folder / "large.bin").read(count - 3, 3, tokens.data(), 10);
    EXPECT_EQ(tokens, end);
    TrainingData data(spec({{(folder / "large.bin").string(), 1}}, 1 << 20), 10, 1);
    EXPECT_EQ(data.samples_per_epoch(0), (count - 1) >> 20);
}

TEST(TokenShard, WideIds) {
    const Folder folder;
    write_shard(folder / "wide.bin", {0, 70000, 151935}, 151936);
    std::filesystem::create_symlink(folder / "wide.bin", folder / "link.bin");
    TokenShard wide(folder / "link.bin");
    std::vector<int32_t> tokens(3);
    wide.read(0, 3, tokens.data(), 151936);
    EXPECT_EQ(tokens, (std::vector<int32_t>{0, 70000, 151935}));
}

// A Megatron pair: sequences' lengths, and at which sequence each document begins.
std::string megatron_index(const std::vector<int32_t>& lengths, const std::vector<int64_t>& documents, uint8_t type) {
    std::string index("MMIDIDX\0\0", 9);
    const auto put = [&](auto x) { index.append(reinterpret_cast<const char*>(&x), sizeof x); };
    put(uint64_t{1}), put(type), put(uint64_t(lengths.size())), put(uint64_t(documents.size()));
    for (const int32_t length : lengths) put(length);
    int64_t at = 0;
    for (const int32_t length : lengths)
        put(at), at += length * (type == 8 || type == 3 ? 2 : type == 5 ? 8 : type <= 2 ? 1 : 4);
    for (const int64_t document : documents) put(document);
    return index;
}

TEST(TokenShard, Megatron) {
    const Folder folder;
    const std::vector<int32_t> ids{5, 6, 7, 8, 9};
    std::ofstream(folder / "m.bin", std::ios::binary).write(reinterpret_cast<const char*>(ids.data()), 20);
    const std::string good = megatron_index({2, 0, 3}, {0, 1, 2, 3}, 4);
    const auto open = [&](const std::string& index) {
        std::ofstream(folder / "m.idx", std::ios::binary) << index;
        return TokenShard(folder / "m.bin");
    };
    const TokenShard shard = open(good);
    std::vector<int32_t> tokens(5), first(5);
    shard.read(0, 5, tokens.data(), 10);
    EXPECT_EQ(tokens, ids);
    EXPECT_EQ(shard.documents(), 3);
    shard.document_starts(0, 5, first.data());
    EXPECT_EQ(first, (std::vector<int32_t>{0, 0, 2, 2, 2}));
    first.resize(2);
    shard.document_starts(3, 2, first.data());
    EXPECT_EQ(first, (std::vector<int32_t>{0, 0}));
    for (const char* name : {"m", "m.bin", "m.idx", "m*"})
        EXPECT_EQ(shard_files((folder / name).string()), std::vector<std::filesystem::path>{folder / "m.bin"}) << name;

    for (size_t byte = 0; byte < good.size(); byte++)  // every byte counts, but those that say where empty ones begin
        for (const int bit : {1, 128}) {
            std::string bad = good;
            bad[byte] = char(bad[byte] ^ bit);
            try {
                const TokenShard read = open(bad);
                EXPECT_GT(byte, 34u + 36) << byte;
                read.document_starts(0, 5, tokens.data());
            } catch (const Failure& f) { EXPECT_EQ(f.code(), Exit::data); }
        }
    EXPECT_THROW(open(good.substr(0, good.size() - 1)), Failure);
    EXPECT_THROW(open(good + "x"), Failure);
    EXPECT_THROW(open(megatron_index({2, 4}, {0, 1, 2}, 4)), Failure);
    EXPECT_THROW(open(megatron_index({2, 3}, {0, 1}, 4)), Failure);
}

// Ids of every type of whole number that Megatron writes.
template <class T>
void expect_megatron(const Folder& folder, uint8_t type, const std::string& name) {
    const std::vector<int32_t> ids{5, 126, 0, int32_t(std::min<int64_t>(std::numeric_limits<T>::max(), 70000))};
    const std::vector<T> stored(ids.begin(), ids.end());
    std::ofstream(folder / "t.bin", std::ios::binary)
        .write(reinterpret_cast<const char*>(stored.data()), std::streamsize(stored.size() * sizeof(T)));
    std::ofstream(folder / "t.idx", std::ios::binary) << megatron_index({1, 3}, {0, 1, 2}, type);
    const TokenShard shard(folder / "t.bin");
    EXPECT_EQ(shard.size(), 4) << name;
    EXPECT_EQ(shard.bytes_per_token(), int(sizeof(T))) << name;
    EXPECT_NE(std::string(shard.format()).find(name), std::string::npos) << shard.format();
    std::vector<int32_t> tokens(4), first(4), last(2);
    shard.read(0, 4, tokens.data(), 100000);
    EXPECT_EQ(tokens, ids) << name;
    shard.read(2, 2, last.data(), 100000);
    EXPECT_EQ(last, std::vector<int32_t>(ids.begin() + 2, ids.end())) << name;
    shard.document_starts(0, 4, first.data());
    EXPECT_EQ(first, (std::vector<int32_t>{0, 1, 1, 1})) << name;
    TrainingData data(spec({{(folder / "t").string(), 1}}, 3), 100000, 1);
    data.sample(0, tokens.data(), nullptr);
    EXPECT_EQ(tokens, ids) << name;
}

TEST(TokenShard, MegatronOfEveryWholeNumber) {
    const Folder folder;
    expect_megatron<uint8_t>(folder, 1, "uint8");
    expect_megatron<int8_t>(folder, 2, "int8");
    expect_megatron<int16_t>(folder, 3, "int16");
    expect_megatron<int32_t>(folder, 4, "int32");
    expect_megatron<int64_t>(folder, 5, "int64");
    expect_megatron<uint16_t>(folder, 8, "uint16");
    for (const uint8_t type : {6, 7, 9, 0}) {
        std::ofstream(folder / "t.idx", std::ios::binary) << megatron_index({1, 3}, {0, 1, 2}, type);
        EXPECT_NE(data_error([&] { TokenShard shard(folder / "t.bin"); }).find("token type"), std::string::npos);
    }
}

// What no vocabulary holds is refused even where any id would do, and is told as it stands in the file.
TEST(TokenShard, MegatronIdsThatAreNone) {
    const Folder folder;
    const auto read = [&](uint8_t type, auto id, int64_t vocab) {
        std::ofstream(folder / "t.bin", std::ios::binary).write(reinterpret_cast<const char*>(&id), sizeof id);
        std::ofstream(folder / "t.idx", std::ios::binary) << megatron_index({1}, {0, 1}, type);
        int32_t token = 0;
        return data_error([&] { TokenShard(folder / "t.bin").read(0, 1, &token, vocab); });
    };
    EXPECT_NE(read(3, int16_t{-2}, 100).find("id -2, outside"), std::string::npos) << read(3, int16_t{-2}, 100);
    EXPECT_NE(read(3, int16_t{-2}, 0).find("id -2, and ids"), std::string::npos) << read(3, int16_t{-2}, 0);
    EXPECT_NE(read(4, int32_t{-1}, 0).find("id -1"), std::string::npos);
    EXPECT_NE(read(5, int64_t{1} << 32, 0).find("id 4294967296"), std::string::npos);
    EXPECT_NE(read(5, (int64_t{1} << 32) + 3, 100).find("id 4294967299"), std::string::npos);
    EXPECT_NE(read(5, int64_t{100}, 100).find("id 100"), std::string::npos);
    EXPECT_EQ(read(5, int64_t{99}, 100), "");
    EXPECT_EQ(read(8, uint16_t{65535}, 0), "");
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
