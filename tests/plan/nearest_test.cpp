// The setting nearest to a config's that fits, against all settings tried one by one.
#include "plan/nearest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "config/load.h"
#include "plan/search.h"

namespace sluice {
namespace {

Config load_config_of(const std::vector<std::string>& more, int ranks) {
    std::vector<std::string> keys{"model.layers=3",          "model.hidden=48",
                                  "model.heads=4",           "model.kv_heads=2",
                                  "model.head_dim=8",        "model.vocab=500",
                                  "data.sequence_length=64", "train.batch=48",
                                  "train.micro_batch=12",    "model.moe={experts: 4, top_k: 2, hidden: 24}"};
    keys.insert(keys.end(), more.begin(), more.end());
    return load_config_text("", "test", keys, Purpose::plan, ranks).config;
}
double bytes_of(const Config& c, int64_t ranks, Storage storage = Storage::cpu, Mode mode = Mode::training) {
    return double(plan_memory(c, mesh_coord(mesh_shape(c.model, c.parallel), ranks, 0), storage, mode).total());
}
std::string changes(const Config& given, const std::optional<Nearest>& nearest) {
    std::string text;
    for (const std::string& change : changes_between(given, nearest->config)) text += change + " ";
    return text;
}

// How far a setting is: keys of the mesh that differ, all keys, what is computed again, and a smaller micro-batch.
using Distance = std::tuple<int, int, int, int64_t>;
Distance distance(const Config& a, const Config& b) {
    int mesh = 0, all = 0;
    for (const std::string& change : changes_between(a, b)) {
        all++;
        mesh += change.starts_with("parallel.") && !change.starts_with("parallel.zero");
    }
    return {mesh, all, int(b.train.recompute), -b.train.micro_batch};
}

// Every setting that loads on two ranks, of at most the given micro-batch.
std::vector<Config> all_settings() {
    std::vector<Config> all;
    for (const char* tensor : {"1", "2"})
        for (const char* expert : {"1", "2"})
            for (const char* sequence : {"false", "true"})
                for (const char* zero : {"0", "1"})
                    for (const auto& [word, recompute] : EnumNames<Recompute>::all)
                        for (int micro = 1; micro <= 12; micro++) {
                            if (std::string(tensor) == "1" && std::string(sequence) == "true") continue;
                            try {
                                all.push_back(load_config_of(
                                    {"parallel.tensor=" + std::string(tensor), "parallel.expert=" + std::string(expert),
                                     "parallel.sequence=" + std::string(sequence), "parallel.zero=" + std::string(zero),
                                     "train.recompute=" + std::string(word),
                                     "train.micro_batch=" + std::to_string(micro)},
                                    2));
                            } catch (const std::exception&) {}
                        }
    return all;
}

TEST(Nearest, OfAllThatFitIsTheOneWithTheFewestChanges) {
    const std::vector<Config> all = all_settings();
    std::vector<double> bytes;
    for (const Config& c : all) bytes.push_back(bytes_of(c, 2));
    for (const Config& given : {load_config_of({}, 2), load_config_of({"parallel.zero=1", "train.recompute=ffn"}, 2)}) {
        std::vector<std::pair<Distance, size_t>> nearest_first;
        for (size_t i = 0; i < all.size(); i++)
            if (all[i].parallel.zero >= given.parallel.zero) nearest_first.emplace_back(distance(given, all[i]), i);
        std::sort(nearest_first.begin(), nearest_first.end());
        std::set<std::string> found;
        for (double most = bytes_of(given, 2);; most *= 0.93) {
            const auto best = std::find_if(nearest_first.begin(), nearest_first.end(),
                                           [&](const auto& setting) { return bytes[setting.second] <= most; });
            const auto nearest =
                nearest_that_fits(given, 2, 2, Storage::cpu, Mode::training, [&](int64_t) { return most; });
            ASSERT_EQ(nearest.has_value(), best != nearest_first.end()) << most;
            if (!nearest) break;
            EXPECT_LE(bytes_of(nearest->config, 2), most);
            EXPECT_EQ(distance(given, nearest->config), best->first) << changes(given, nearest);
            found.insert(changes(given, nearest));
        }
        EXPECT_GT(found.size(), 6u);
        EXPECT_TRUE(found.count(""));  // it fits as it is
    }
}

TEST(Nearest, MoreRanksOnlyWhereNothingFitsOnThese) {
    const Config given = load_config_of({}, 2);
    double least = bytes_of(given, 2);
    for (const Config& c : all_settings()) least = std::min(least, bytes_of(c, 2));
    const auto within = [&](double bytes, int64_t most) {
        return nearest_that_fits(given, 2, most, Storage::cpu, Mode::training, [=](int64_t) { return bytes; });
    };
    EXPECT_EQ(within(least, 64)->ranks, 2);
    EXPECT_EQ(within(least - 1, 64)->ranks, 4);
    EXPECT_LE(bytes_of(within(least - 1, 64)->config, 4), least - 1);
    EXPECT_FALSE(within(least - 1, 2).has_value());
    EXPECT_FALSE(within(1000, 64).has_value());
    // What a plan may take can depend on the ranks.
    const auto nearest = nearest_that_fits(given, 2, 64, Storage::cpu, Mode::training,
                                           [&](int64_t ranks) { return ranks < 16 ? 0 : 2 * least; });
    EXPECT_EQ(nearest->ranks, 16);
}

// Zero, recompute and the optimizer's state are nothing to inference.
TEST(Nearest, InInferenceFewerSequencesOfAPass) {
    const Config given = load_config_of({"train.micro_batch=24", "train.batch=48"}, 2);
    const auto bytes = [&](int64_t sequences) {
        Config c = given;
        c.train.micro_batch = sequences;
        return bytes_of(c, 2, Storage::gpu_bf16, Mode::inference);
    };
    EXPECT_LT(bytes(24), bytes_of(given, 2, Storage::gpu_bf16));
    for (const int64_t sequences : {24, 12, 8, 1}) {
        const auto nearest = nearest_that_fits(given, 2, 2, Storage::gpu_bf16, Mode::inference,
                                               [&](int64_t) { return bytes(sequences); });
        ASSERT_TRUE(nearest.has_value()) << sequences;
        EXPECT_EQ(changes(given, nearest),
                  sequences == 24 ? "" : "train.micro_batch=" + std::to_string(sequences) + " ");
    }
    const auto on_more =
        nearest_that_fits(given, 2, 2, Storage::gpu_bf16, Mode::inference, [&](int64_t) { return bytes(1) - 1; });
    ASSERT_TRUE(on_more.has_value());  // with experts on two ranks
    EXPECT_EQ(on_more->config.parallel.zero, 0);
    EXPECT_EQ(on_more->config.parallel.expert * on_more->config.parallel.tensor, 2);
}

// 2^60 tokens in a pass, and wider than any: numbers of bytes end at 2^60, and what is larger fits nowhere.
TEST(Nearest, APassOfAnySizeIsPlanned) {
    Config given = load_config_of({"data.sequence_length=1073741824", "train.batch=1073741824",
                                   "train.micro_batch=1073741824", "model.head_dim=262144"},
                                  1);
    const auto nearest = nearest_that_fits(given, 1, 1, Storage::cpu, Mode::training, [](int64_t) { return 1e12; });
    EXPECT_FALSE(nearest.has_value());
    given.train.micro_batch = 1024;
    EXPECT_GT(bytes_of(given, 1), 0x1p59);
}

}  // namespace
}  // namespace sluice
