// Training data of several sources, and documents within samples.
#include <gtest/gtest.h>

#include <set>

#include "data/data.h"
#include "data/token_shard.h"
#include "support/folder.h"

namespace sluice {
namespace {

std::vector<int32_t> count_from(int32_t first, int32_t count) {
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < count; i++) tokens.push_back(first + i);
    return tokens;
}

TEST(Sources, EachHasAnOrderOfItsOwn) {
    const Folder folder;
    DataSpec spec;
    spec.sequence_length = 4;
    for (const char* name : {"a.bin", "b.bin"}) {
        write_shard(folder / name, count_from(0, 401), 1000);
        spec.train.push_back({(folder / name).string(), 1});
    }
    TrainingData data(spec, 1000, 5);
    std::vector<std::vector<int32_t>> orders(2);
    std::vector<int32_t> tokens(5);
    for (int64_t n = 0; n < 200; n++) {  // equal shares: they alternate
        data.sample(n, tokens.data(), nullptr);
        orders[size_t(n % 2)].push_back(tokens[0]);
    }
    for (const auto& order : orders) EXPECT_EQ(std::set<int32_t>(order.begin(), order.end()).size(), 100u);
    EXPECT_NE(orders[0], orders[1]);
}

// A resume of an older run relies on it.
TEST(Sources, KeepTheirOrder) {
    const Folder folder;
    write_shard(folder / "a.bin", count_from(0, 401), 1000);
    DataSpec spec;
    spec.sequence_length = 4;
    spec.train.push_back({(folder / "a.bin").string(), 1});
    TrainingData data(spec, 1000, 5);
    std::vector<int32_t> tokens(5), firsts;
    for (const int64_t n : {0, 1, 2, 3, 100, 101, 102, 103}) {  // of the first epoch and of the second
        data.sample(n, tokens.data(), nullptr);
        firsts.push_back(tokens[0]);
    }
    EXPECT_EQ(firsts, (std::vector<int32_t>{340, 232, 244, 224, 120, 80, 380, 232}));
}

// Documents begin at tokens 0, 6 and 21 of the first shard, and at the start of the second.
TEST(Sources, ASampleKnowsItsDocuments) {
    const Folder folder;
    for (const auto& [name, documents] : {std::pair{"a_0.bin", std::vector<int32_t>{6, 15, 20}}, {"a_1.bin", {41}}}) {
        ShardWriter writer(folder / name, 1000);
        int32_t token = std::string(name) == "a_1.bin" ? 100 : 0;
        for (const int32_t size : documents) {
            writer.begin_document(size);
            writer.add(count_from(token, size).data(), size);
            token += size;
        }
        writer.close();
    }
    DataSpec spec;
    spec.sequence_length = 4;
    spec.document_mask = true;
    spec.train.push_back({(folder / "a_*.bin").string(), 1});
    TrainingData data(spec, 1000, 5);
    ASSERT_EQ(data.samples_per_epoch(0), 20);
    std::vector<int32_t> tokens(5), first(4);
    for (int64_t n = 0; n < 20; n++) {
        data.sample(n, tokens.data(), first.data());
        for (int32_t t = 0; t < 4; t++) {
            int32_t began = 0;  // of the sample's start, unless a document begins within it
            for (int32_t i = 0; i <= t; i++)
                if (tokens[size_t(i)] == 6 || tokens[size_t(i)] == 21) began = i;
            EXPECT_EQ(first[size_t(t)], began) << "token " << tokens[size_t(t)];
        }
    }
}

}  // namespace
}  // namespace sluice
