// The search for settings that fit, against all settings tried one by one.
#include "plan/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "config/load.h"

namespace sluice {
namespace {

struct Case {
    const char* name;
    std::string file;
    std::vector<std::string> keys;
    int ranks;
    const char* gpu;
};
const std::string kModels = SLUICE_SOURCE_DIR "/configs/models/";
const std::vector<Case> kCases{
    {"dense", kModels + "dense_1p7b_28.yaml", {}, 1024, "h100"},
    {"dense, fp32", kModels + "dense_1p7b_28.yaml", {"train.precision=fp32"}, 8, "a100"},
    {"experts", kModels + "moe_15a2b.yaml", {}, 64, "h200"},
    {"experts, few", kModels + "moe_15a2b.yaml", {}, 8, "h100"},
    {"experts, one", kModels + "moe_15a2b.yaml", {}, 1, "b200"},
    {"a batch that not all ranks can share",
     kModels + "dense_1p7b_28.yaml",
     {"parallel.tensor=2", "train.batch=20"},
     8,
     "h200"},
    {"experts that not all ranks can share", kModels + "moe_15a2b.yaml", {"train.batch=96"}, 24, "h200"},
    {"24 ranks, 12 heads",
     kModels + "dense_1p7b_28.yaml",
     {"model.heads=12", "model.kv_heads=6", "model.hidden=7680", "model.layers=96", "train.batch=96"},
     24,
     "h100"},
};

Config load(const Case& c, std::vector<std::string> more = {}, int64_t ranks = 0) {
    std::vector<std::string> keys = c.keys;
    keys.insert(keys.end(), more.begin(), more.end());
    return load_config(c.file, keys, Purpose::plan, int(ranks ? ranks : c.ranks)).config;
}

// Every suggestion passes the checks of a config, and is what it says when it is planned again.
TEST(Search, SuggestionsLoadAndFit) {
    for (const Case& c : kCases) {
        SCOPED_TRACE(c.name);
        const GpuFigures& gpu = *find_gpu(c.gpu);
        const Config given = load(c);
        const Found found = search_settings(given, c.ranks, gpu, {});
        ASSERT_FALSE(found.settings.empty());
        for (size_t i = 0; i < found.settings.size(); i++) {
            const Estimate& e = found.settings[i];
            EXPECT_LE(found.settings[i > 0 ? i - 1 : 0].time.seconds(), e.time.seconds());
            std::vector<std::string> changes = changes_between(given, e.config);
            changes.push_back("train.micro_batch=" + std::to_string(e.config.train.micro_batch));
            const Estimate again = estimate(load(c, changes, e.ranks), e.ranks, gpu);
            EXPECT_TRUE(again.fits(gpu));
            EXPECT_EQ(again.bytes(), e.bytes());
            EXPECT_DOUBLE_EQ(again.time.seconds(), e.time.seconds());
            // The step after it would not fit, or there is none.
            EXPECT_EQ(largest_micro_batch(e.config, e.ranks, gpu), e.config.train.micro_batch);
        }
    }
}

// Small enough to try all: 12 ranks, 6 heads, 6 experts, every number up to the batch as micro-batch.
std::vector<Estimate> all_settings(const std::function<Config(std::vector<std::string>)>& load, const GpuFigures& gpu) {
    std::vector<Estimate> all;
    for (int tensor = 1; tensor <= 12; tensor++)
        for (int expert = 1; expert <= 12; expert++)
            for (const char* sequence : {"false", "true"}) {
                Config c;
                try {
                    c = load({"parallel.tensor=" + std::to_string(tensor), "parallel.expert=" + std::to_string(expert),
                              std::string("parallel.sequence=") + sequence});
                } catch (const std::exception&) { continue; }
                const int64_t shard = c.train.batch / (12 / tensor);
                for (c.parallel.zero = 0; c.parallel.zero <= 1; c.parallel.zero++)
                    for (const auto& [word, recompute] : EnumNames<Recompute>::all)
                        for (int64_t micro = 1; micro <= shard; micro++) {
                            if (shard % micro != 0) continue;
                            c.train.recompute = recompute;
                            c.train.micro_batch = micro;
                            all.push_back(estimate(c, 12, gpu));
                        }
            }
    return all;
}

TEST(Search, NothingFasterFits) {
    const std::vector<std::string> keys{"model.layers=3",          "model.hidden=48",
                                        "model.heads=6",           "model.kv_heads=3",
                                        "model.head_dim=8",        "model.vocab=500",
                                        "data.sequence_length=64", "train.batch=48",
                                        "train.precision=bf16",    "model.moe={experts: 6, top_k: 2, hidden: 24}"};
    const auto config = [&](std::vector<std::string> more) {
        more.insert(more.begin(), keys.begin(), keys.end());
        return load_config_text("", "test", more, Purpose::plan, 12).config;
    };
    GpuFigures gpu = *find_gpu("h100");
    const std::vector<Estimate> all = all_settings(config, gpu);
    const double group = 688 * 1024.0 * 1024;  // NCCL's, of which a mesh has one or two, or with experts more
    for (const double capacity : {group + 0.5e6, group + 2e6, group + 4e6, 2 * group + 0.6e6, 2 * group + 2e6, 7e9}) {
        SCOPED_TRACE(capacity);
        gpu.memory = device_reserve({}, 1).total() + capacity;
        double best = 1e9;
        for (const Estimate& e : all)
            if (e.fits(gpu)) best = std::min(best, e.time.seconds());
        const std::vector<Estimate> found = settings_that_fit(config({}), 12, gpu, {});
        ASSERT_EQ(found.empty(), best == 1e9);
        if (!found.empty()) { EXPECT_DOUBLE_EQ(found[0].time.seconds(), best); }
    }
}

// 15A2B on 64 H200 with experts over 16: recompute ffn with zero fits, and is found.
TEST(Search, KeepsTheGivenKeysOfTheMesh) {
    const Case c{"", kModels + "moe_15a2b.yaml", {"parallel.expert=16"}, 64, "h200"};
    const GpuFigures& gpu = *find_gpu(c.gpu);
    const Found found = search_settings(load(c), c.ranks, gpu, {false, true, false});
    EXPECT_TRUE(found.kept);
    ASSERT_FALSE(found.settings.empty());
    bool ffn_with_zero = false;
    for (const Estimate& e : found.settings) {
        EXPECT_EQ(e.config.parallel.expert, 16);
        EXPECT_EQ(e.ranks, 64);
        ffn_with_zero |=
            e.config.parallel.tensor == 1 && e.config.parallel.zero == 1 && e.config.train.recompute == Recompute::ffn;
    }
    EXPECT_TRUE(ffn_with_zero);
    // Without the key there is a faster one on as many ranks.
    ASSERT_TRUE(found.faster.has_value());
    EXPECT_EQ(found.faster->ranks, 64);
    EXPECT_LT(found.faster->time.seconds(), found.settings[0].time.seconds());
    EXPECT_NE(found.faster->config.parallel.expert, 16);
}

// Zero is not worth less than a larger micro-batch: the faster one counts, not the first that fits.
TEST(Search, PrefersWhatIsFaster) {
    const Case c{"", kModels + "moe_15a2b.yaml", {}, 64, "h200"};
    const Found found = search_settings(load(c), c.ranks, *find_gpu(c.gpu), {});
    const Config& best = found.settings[0].config;
    EXPECT_EQ(best.parallel.zero, 1);
    EXPECT_EQ(best.train.recompute, Recompute::none);
    EXPECT_GT(best.train.micro_batch, 1);
}

TEST(Search, KeepsTheRanksWhereSomethingFitsAndElseTakesMore) {
    const Case one{"", kModels + "moe_15a2b.yaml", {}, 1, "h200"};
    const GpuFigures& gpu = *find_gpu("h200");
    EXPECT_TRUE(settings_that_fit(load(one), 1, gpu, {}).empty());
    const Found found = search_settings(load(one), 1, gpu, {});
    ASSERT_FALSE(found.settings.empty());
    EXPECT_EQ(found.settings[0].ranks, 2);
    EXPECT_TRUE(std::any_of(found.settings.begin(), found.settings.end(),
                            [](const Estimate& e) { return e.config.parallel.sequence; }));
    // Keys that are given go before more ranks are taken.
    const Case kept{"", kModels + "moe_15a2b.yaml", {"parallel.tensor=1", "parallel.expert=1"}, 8, "h100"};
    const Found without = search_settings(load(kept), 8, *find_gpu("h100"), {true, true, false});
    EXPECT_FALSE(without.kept);
    EXPECT_EQ(without.settings[0].ranks, 8);
}

TEST(Search, NothingFitsACardTooSmall) {
    GpuFigures tiny = *find_gpu("h100");
    tiny.memory = 1e9;
    const Case c{"", kModels + "dense_1p7b_28.yaml", {}, 8, "h100"};
    EXPECT_TRUE(search_settings(load(c), 8, tiny, {}).settings.empty());
    EXPECT_FALSE(largest_micro_batch(load(c), 8, tiny).has_value());
}

}  // namespace
}  // namespace sluice
