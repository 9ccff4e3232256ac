// What may be drawn, and what may not.
#include "train/generate.h"

#include <gtest/gtest.h>

#include <set>

#include "base/check.h"
#include "config/load.h"

namespace sluice {
namespace {

Config config() {
    return load_config_text("", "test",
                            {"model.layers=1", "model.hidden=16", "model.heads=2", "model.vocab=19",
                             "model.ffn.hidden=24", "data.sequence_length=8", "train.steps=50", "train.batch=1",
                             "optimizer.lr=0.01", "schedule.warmup_steps=5"},
                            Purpose::plan)
        .config;
}

std::set<int32_t> drawn_from(const std::vector<int32_t>& ids, double temperature, int64_t top_k) {
    const Config c = config();
    Model<Cpu<float>> model(c.model, {1, 8}, Recompute::none, Mode::inference);
    Sampling sampling;
    sampling.tokens = 300;
    sampling.temperature = temperature;
    sampling.top_k = top_k;
    const auto out = generate(model, {18}, 8, ids, sampling);
    EXPECT_EQ(out.size(), 300u);
    return {out.begin(), out.end()};
}

// A vocabulary padded beyond its tokenizer's, and one with holes.
TEST(Generate, DrawsNothingElse) {
    const std::vector<int32_t> some{1, 4, 5, 17}, holes_and_beyond{3, 18, 19, 20, 1000};
    EXPECT_EQ(drawn_from(some, 1e6, 0), std::set<int32_t>(some.begin(), some.end()));
    EXPECT_EQ(drawn_from(holes_and_beyond, 1e6, 0), (std::set<int32_t>{3, 18}));
    EXPECT_EQ(drawn_from(some, 1e6, 100), std::set<int32_t>(some.begin(), some.end()));
    for (const int32_t id : {0, 7, 18}) EXPECT_EQ(drawn_from({id}, 0, 0), std::set<int32_t>{id});
    EXPECT_THROW(drawn_from({19}, 1, 0), Failure);
    EXPECT_THROW(drawn_from({}, 1, 0), Failure);
}

}  // namespace
}  // namespace sluice
