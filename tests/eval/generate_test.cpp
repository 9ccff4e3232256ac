// Text from a model: every token is drawn from softmax(logits / temperature) over the top_k likeliest, given the last
// tokens of a window.
#include "eval/generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/check.h"
#include "support/models.h"

namespace sluice {
namespace {

constexpr int64_t kWindow = 5, kIds = 11;  // of small_model

// The ids that may be drawn.
std::vector<int32_t> all_but(int32_t banned) {
    std::vector<int32_t> ids(kIds);
    std::iota(ids.begin(), ids.end(), 0);
    std::erase(ids, banned);
    return ids;
}

class Generate : public testing::Test {
 protected:
    Generate() : model_(small_model(""), {1, kWindow}, Recompute::none, Mode::inference) { set_weights(model_); }

    std::vector<int32_t> drawn(const std::vector<int32_t>& prompt, const Sampling& sampling, int32_t banned = -1) {
        return generate(model_, prompt, kWindow, all_but(banned), sampling);
    }
    // After `text`, of which the model sees the window.
    std::vector<double> logits(const std::vector<int32_t>& text) {
        const auto length = std::min<int64_t>(kWindow, int64_t(text.size()));
        std::vector<double> logits(kIds);
        model_.hidden_states({1, length}, text.data() + text.size() - size_t(length), nullptr);
        model_.logits(logits.data(), length - 1);
        return logits;
    }
    // How often each id comes first, over many seeds.
    std::vector<double> shares(const std::vector<int32_t>& prompt, Sampling sampling, int32_t banned = -1) {
        constexpr int kDraws = 2000;
        std::vector<double> shares(kIds);
        sampling.tokens = 1;
        for (int i = 0; i < kDraws; i++) {
            sampling.seed = uint64_t(i);
            shares[size_t(drawn(prompt, sampling, banned)[0])] += 1.0 / kDraws;
        }
        return shares;
    }
    Model<Cpu<double>> model_;
};

const std::vector<int32_t> kPrompt{3, 1, 4};

TEST_F(Generate, WithoutTemperatureTakesTheLikeliestOfTheLastWindow) {
    Sampling greedy;
    greedy.tokens = 12;  // well beyond the window
    greedy.temperature = 0;
    std::vector<int32_t> text = kPrompt;
    for (const int32_t id : drawn(kPrompt, greedy)) {
        const auto z = logits(text);
        EXPECT_EQ(id, std::max_element(z.begin(), z.end()) - z.begin()) << "after " << text.size() << " tokens";
        text.push_back(id);
    }
    EXPECT_EQ(text.size(), kPrompt.size() + 12);
    greedy.temperature = 1;
    greedy.top_k = 1;
    EXPECT_EQ(drawn(kPrompt, greedy), std::vector<int32_t>(text.begin() + 3, text.end()));
}

TEST_F(Generate, DrawsFromTheTopKAtATemperature) {
    const auto z = logits(kPrompt);
    std::vector<size_t> order(kIds);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return z[a] > z[b]; });
    for (const double temperature : {0.5, 1.0, 3.0})
        for (const int64_t top_k : {0, 3, 50}) {
            SCOPED_TRACE("top_k " + std::to_string(top_k) + " at " + std::to_string(temperature));
            const size_t k = top_k == 3 ? 3 : kIds;
            std::vector<double> expected(kIds);
            double sum = 0;
            for (size_t i = 0; i < k; i++) sum += expected[order[i]] = std::exp(z[order[i]] / temperature);
            Sampling sampling;
            sampling.temperature = temperature;
            sampling.top_k = top_k;
            const auto found = shares(kPrompt, sampling);
            for (size_t id = 0; id < kIds; id++) EXPECT_NEAR(found[id], expected[id] / sum, 0.04) << id;
        }
}

TEST_F(Generate, NeverDrawsABannedId) {
    Sampling flat;
    flat.temperature = 100;
    flat.top_k = 0;
    for (int32_t banned = 0; banned < kIds; banned++) {
        const auto found = shares(kPrompt, flat, banned);
        for (int32_t id = 0; id < kIds; id++) EXPECT_EQ(found[size_t(id)] == 0, id == banned) << id;
    }
    flat.temperature = 0;
    flat.tokens = 1;
    const int32_t likeliest = drawn(kPrompt, flat)[0];
    EXPECT_NE(drawn(kPrompt, flat, likeliest)[0], likeliest);
}

// A vocabulary padded beyond its tokenizer's, and one with holes.
TEST_F(Generate, DrawsNoIdThatTheTokenizerLacks) {
    Sampling flat;
    flat.tokens = 300;
    flat.temperature = 1e6;
    const auto drawn_from = [&](const std::vector<int32_t>& ids) {
        const auto out = generate(model_, kPrompt, kWindow, ids, flat);
        return std::set<int32_t>(out.begin(), out.end());
    };
    for (const int64_t top_k : {0, 100}) {
        flat.top_k = top_k;
        EXPECT_EQ(drawn_from({1, 4, 5, 7}), (std::set<int32_t>{1, 4, 5, 7}));
        EXPECT_EQ(drawn_from({3, 10, 11, 12, 1000}), (std::set<int32_t>{3, 10}));
    }
    flat.temperature = 0;
    for (const int32_t id : {0, 7, 10}) EXPECT_EQ(drawn_from({id}), std::set<int32_t>{id});
    EXPECT_THROW(drawn_from({11}), Failure);
    EXPECT_THROW(drawn_from({}), Failure);
}

// Where all ids are as likely, each has its share of a long text.
TEST_F(Generate, EveryTokenIsADrawOfItsOwn) {
    for (const TensorInfo& t : model_.tensors())
        if (t.name == "head.weight") std::fill_n(model_.weights() + t.offset, t.count, 0.0);
    Sampling flat;
    flat.tokens = 1100;
    std::vector<int> counts(kIds);
    for (const int32_t id : drawn(kPrompt, flat)) counts[size_t(id)]++;
    for (const int n : counts) EXPECT_NEAR(n, 100, 40);
}

// 11 ids on two ranks: 6 and 5.
TEST_F(Generate, RanksThatShareTheVocabularyDrawTheSame) {
    const ModelSpec spec = small_model("init_std=0.4");
    Model<Cpu<double>> one(spec, {1, kWindow}, Recompute::none, Mode::inference);
    one.initialise(3);
    Sampling sampling;
    sampling.tokens = 40;
    const auto expected = generate(one, kPrompt, kWindow, all_but(-1), sampling);
    run_threads(2, [&](Comm& comm) {
        Mesh mesh(comm, {2});
        Model<Cpu<double>> model(spec, {1, kWindow}, Recompute::none, Mode::inference, mesh);
        model.initialise(3);
        EXPECT_EQ(generate(model, kPrompt, kWindow, all_but(-1), sampling), expected);
    });
}

TEST_F(Generate, TheSeedDecidesAll) {
    Sampling sampling;
    sampling.tokens = 40;
    sampling.temperature = 3;
    const auto text = drawn(kPrompt, sampling);
    EXPECT_EQ(drawn(kPrompt, sampling), text);
    sampling.seed = 2;
    EXPECT_NE(drawn(kPrompt, sampling), text);
}

}  // namespace
}  // namespace sluice
