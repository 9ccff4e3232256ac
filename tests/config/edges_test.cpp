// Both sides of limits that stand between keys.
#include <gtest/gtest.h>

#include "config/text.h"

namespace sluice {
namespace {

TEST(Edges, OfARunsName) {
    expect_loads({"run.name=" + std::string(200, 'x')});
    expect_refused({"run.name=" + std::string(201, 'x')}, "run.name", "1 to 200 bytes");
}

// Of all query heads together, not of one and not of the key-value heads.
TEST(Edges, OfTheWidthOfAllHeads) {
    const std::string most = std::to_string(kMaxWidth / 4), more = std::to_string(kMaxWidth / 4 + 2);
    expect_loads({"model.head_dim=" + most}, Purpose::plan);
    expect_refused({"model.head_dim=" + more}, "model.head_dim", "heads x head_dim");
    expect_refused({"model.kv_heads=1", "model.head_dim=" + more}, "model.head_dim", "heads x head_dim");
}

TEST(Edges, OfLayersWithGates) {
    expect_loads({"model.layers=12", "model.gates={0-5: [{position: sdpa}], 6-11: []}"});
    expect_refused({"model.layers=12", "model.gates={6-12: []}"}, "model.gates.6-12", "0 to 11");
    expect_refused({"model.layers=12", "model.gates={0-6: [], 6-11: []}"}, "model.gates", "overlaps");
    expect_loads({"model.layers=12", "model.gates={3-3: [], 4: []}"});
}

// tensor ranks share a sequence: 8 ranks of tensor 2 are 4 that share the batch.
TEST(Edges, OfRanksAndTheBatch) {
    Config config = small({"train.batch=24", "parallel.tensor=2"});
    resolve_ranks(config, 8);
    EXPECT_EQ(config.train.micro_batch, 6);
    EXPECT_EQ(data_ranks_of(config, 8), 4);
    const auto refused = [](const Overrides& overrides, int ranks) -> std::string {
        Config config = small(overrides);
        try {
            resolve_ranks(config, ranks);
        } catch (const Failure& f) { return f.what(); }
        return "";
    };
    EXPECT_EQ(refused({"train.batch=24", "parallel.tensor=2", "train.micro_batch=3"}, 8), "");
    EXPECT_TRUE(contains(refused({"train.batch=24", "parallel.tensor=2"}, 7), "start 6 or 8 ranks"));
    EXPECT_TRUE(contains(refused({"train.batch=24", "parallel.tensor=2"}, 1), "start 2 ranks"));
    EXPECT_TRUE(contains(refused({"train.batch=24", "parallel.tensor=2"}, 10), "use 20 or 25"));
    EXPECT_TRUE(contains(refused({"train.batch=24", "train.micro_batch=4"}, 4), "use train.batch 16 or 32"));
    EXPECT_TRUE(contains(refused({"train.batch=24", "train.micro_batch=4"}, 4), "train.micro_batch 3"));
    // Experts are shared by data-parallel ranks: 6 ranks of tensor 2 are 3, which 2 do not divide.
    const std::string moe = "model.moe={experts: 4, top_k: 2, hidden: 8}";
    EXPECT_TRUE(
        contains(refused({"train.batch=24", moe, "parallel.tensor=2", "parallel.expert=2"}, 6), "start 4 or 8 ranks"));
}

}  // namespace
}  // namespace sluice
