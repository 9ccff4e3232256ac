// What shards tell of themselves: the vocabulary, the samples, and which vocabulary an id needs.
#include "data/data_facts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "data/data.h"
#include "data/shard_set.h"
#include "support/folder.h"

namespace sluice {
namespace {

// NAME_000000.bin, ... with ids up to largest, and NAME.json.
std::string write_set(const Folder& folder, const std::string& name, const std::vector<int64_t>& sizes, int64_t vocab,
                      int32_t largest = 5) {
    ShardSet set{"bytes", "bytes", vocab, 0, {}};
    for (size_t i = 0; i < sizes.size(); i++) {
        const std::string file = name + "_00000" + std::to_string(i) + ".bin";
        write_shard(folder / file, std::vector<int32_t>(size_t(sizes[i]), largest), vocab);
        set.shards.push_back({file, sizes[i], 0, 0, largest, ""});
    }
    write_shard_set(folder / (name + ".json"), set);
    return (folder / (name + ".json")).string();
}
std::string write_foreign(const Folder& folder, const std::string& name, std::vector<int32_t> ids) {
    write_shard(folder / name, ids, 70000);
    return (folder / name).string();
}
DataSpec four_token_samples(const std::vector<std::string>& train, const std::vector<std::string>& validation = {}) {
    DataSpec data;
    data.sequence_length = 4;
    for (const auto& path : train) data.train.push_back({path, 1});
    for (const auto& path : validation) data.validation.push_back({"v", path});
    return data;
}
std::string failure(const std::function<void()>& body) {
    try {
        body();
    } catch (const Failure& f) {
        EXPECT_EQ(f.code(), Exit::data);
        return f.what();
    }
    return "";
}
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(DataFacts, TheLargestVocabularyRecordedBesideAllShards) {
    const Folder folder;
    const std::string small = write_set(folder, "small", {9}, 100), large = write_set(folder, "large", {9, 9}, 300),
                      foreign = write_foreign(folder, "foreign.bin", {1, 2, 3});
    const DataFacts facts = facts_of_shards();
    EXPECT_EQ(facts.vocab(four_token_samples({small, large})).size, 300);
    EXPECT_EQ(facts.vocab(four_token_samples({large, small})).size, 300);
    EXPECT_EQ(facts.vocab(four_token_samples({small}, {large})).size, 300);
    EXPECT_EQ(facts.vocab(four_token_samples({(folder / "small_000000.bin").string()})).size, 100);
    EXPECT_EQ(facts.vocab(four_token_samples({small})).without_tokenizer, "");
    EXPECT_EQ(facts.vocab(four_token_samples({small, foreign})).without_tokenizer, foreign);
    EXPECT_EQ(facts.vocab(four_token_samples({small}, {foreign})).without_tokenizer, foreign);
    EXPECT_TRUE(contains(failure([&] { facts.vocab(four_token_samples({"nowhere"})); }), "nowhere"));
}

TEST(DataFacts, SamplesAreThoseOfTraining) {
    const Folder folder;
    const std::string set = write_set(folder, "set", {41, 40, 3, 5}, 100),
                      foreign = write_foreign(folder, "foreign.bin", std::vector<int32_t>(22, 1));
    const DataFacts facts = facts_of_shards();
    for (const auto& [data, samples] : {std::pair{four_token_samples({set}), 20},
                                        {four_token_samples({foreign}), 5},
                                        {four_token_samples({set, foreign}), 25}}) {
        EXPECT_EQ(facts.samples(data), samples);
        EXPECT_EQ(TrainingData(data, 100, 1).samples(), samples);
    }
    EXPECT_EQ(facts.samples(four_token_samples({set}, {foreign})), 20);
    const std::string none = write_foreign(folder, "short.bin", {1, 2, 3, 4});
    EXPECT_TRUE(contains(failure([&] { facts.samples(four_token_samples({none})); }), "short.bin"));
}

TEST(DataFacts, EpochsOfARun) {
    Config config;
    config.train.steps = 30;
    config.train.batch = 4;
    EXPECT_DOUBLE_EQ(epochs_of(config, 40), 3);
    EXPECT_DOUBLE_EQ(epochs_of(config, 480), 0.25);
    for (const auto& [epochs, text] : {std::pair{0.0312, "0.031 epochs"},
                                       {0.25, "0.25 epochs"},
                                       {0.999, "0.999 epochs"},
                                       {1.0, "1 epoch"},
                                       {12.34, "12.3 epochs"},
                                       {2345.6, "2346 epochs"}})
        EXPECT_EQ(format_epochs(epochs), text);
}

TEST(DataFacts, AnIdOutsideTheVocabularyTellsTheOneThatIsNeeded) {
    const Folder folder;
    const std::string set = write_set(folder, "set", {9}, 300, 120);
    EXPECT_TRUE(
        contains(failure([&] { TrainingData(four_token_samples({set}), 100, 1); }), "raise model.vocab to 300"));
    const std::string foreign = write_foreign(folder, "f.bin", {1, 2, 100, 3, 65000, 4, 99, 7});
    TrainingData data(four_token_samples({foreign}), 100, 1);
    std::vector<int32_t> tokens(5);
    const std::string error = failure([&] { data.sample(0, tokens.data(), nullptr); });
    EXPECT_TRUE(contains(error, "token 2 is id 100") && contains(error, "raise model.vocab to 65001 or more")) << error;
}

}  // namespace
}  // namespace sluice
