// Evaluations: every token of a set but its first is predicted once, whatever the windows, passes and ranks.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "data/shard_set.h"
#include "eval/evaluate.h"
#include "support/folder.h"
#include "support/models.h"

namespace sluice {
namespace {

constexpr int64_t kLength = 5, kVocab = 11;  // of small_model
constexpr int64_t kText = 100;               // bytes of the set's text

std::vector<int32_t> tokens_of(int64_t count) {
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < count; i++) tokens.push_back(int32_t((i * i + 3 * i + i / 7) % kVocab));
    return tokens;
}

// A set of one shard; documents begin at its start and at token 7.
void write_set(const Folder& folder, int64_t count) {
    const auto tokens = tokens_of(count);
    ShardWriter writer(folder / "v_000000.bin", kVocab);
    for (int64_t start = 0; start < std::min<int64_t>(count, 8); start += 7) {
        writer.begin_document(kText / 2);
        writer.add(tokens.data() + start, start == 0 ? std::min<int64_t>(count, 7) : count - 7);
    }
    writer.close();
    ShardSet set{"bytes", "bytes", kVocab, 0, {}};
    set.shards.push_back(
        {"v_000000.bin", count, int64_t(writer.documents().size()), kText, writer.largest(), writer.hash()});
    write_shard_set(folder / "v.json", set);
}

Evaluation evaluated(int64_t count, int64_t sequences, int64_t windows = 0, int ranks = 1, bool document_mask = false) {
    const Folder folder;
    write_set(folder, count);
    DataSpec spec;
    spec.document_mask = document_mask;
    Evaluation e;
    run_threads(ranks, [&](Comm& comm) {
        Mesh mesh(comm, {});
        ValidationData data(spec, {"v", folder.path().string()}, kVocab);
        Model<Cpu<double>> model(small_model(""), {sequences, kLength}, Recompute::none, Mode::inference, mesh);
        set_weights(model);
        const Evaluation mine = evaluate(model, data, {kLength, sequences, windows, document_mask});
        if (comm.rank() == 0) e = mine;
    });
    return e;
}

// The mean loss of tokens 1 to `predicted`, a window at a time.
double loss_by_hand(int64_t predicted, int64_t document) {
    Model<Cpu<double>> model(small_model(""), {1, kLength}, Recompute::none, Mode::inference, solo_mesh());
    set_weights(model);
    const auto tokens = tokens_of(predicted + 1);
    double sum = 0;
    for (int64_t start = 0; start < predicted; start += kLength) {
        const int64_t n = std::min(kLength, predicted - start);
        std::vector<int32_t> first;
        for (int64_t t = start; t < start + n; t++)
            first.push_back(t >= document ? int32_t(std::max<int64_t>(0, document - start)) : 0);
        sum += model.forward({1, n}, tokens.data() + start, tokens.data() + start + 1, first.data());
    }
    return sum / double(predicted);
}

TEST(Evaluation, PredictsEveryTokenButTheFirst) {
    for (const int64_t count : {2, 5, 6, 7, 10, 11, 12, 29, 31})
        for (const int64_t sequences : {1, 2, 3, 9})
            for (const int ranks : {1, 2, 3}) {
                SCOPED_TRACE(std::to_string(count) + " tokens, " + std::to_string(sequences) + " a pass, " +
                             std::to_string(ranks) + " ranks");
                const Evaluation e = evaluated(count, sequences, 0, ranks);
                EXPECT_EQ(e.tokens, count - 1);
                EXPECT_NEAR(e.loss, loss_by_hand(count - 1, 1000), 1e-12);
                EXPECT_DOUBLE_EQ(e.perplexity, std::exp(e.loss));
            }
}

TEST(Evaluation, SeesItsDocumentAlone) {
    for (const int64_t sequences : {1, 2})
        EXPECT_NEAR(evaluated(23, sequences, 0, 1, true).loss, loss_by_hand(22, 7), 1e-12);
    EXPECT_GT(std::abs(loss_by_hand(22, 7) - loss_by_hand(22, 1000)), 1e-6);
}

TEST(Evaluation, OfSomeWindowsTakesTheFirst) {
    for (const int64_t sequences : {1, 2, 3}) {
        const Evaluation e = evaluated(23, sequences, 3);
        EXPECT_EQ(e.tokens, 3 * kLength);
        EXPECT_NEAR(e.loss, loss_by_hand(3 * kLength, 1000), 1e-12);
        EXPECT_EQ(evaluated(23, sequences, 5).tokens, 22) << "as many as there are";
        EXPECT_EQ(evaluated(23, sequences, 50).tokens, 22) << "more than there are";
    }
}

// Nats a token to bits a byte: by the text's tokens a byte, which a part of the set shares with the whole.
TEST(Evaluation, BitsPerByteOfAPartAreThoseOfItsShareOfTheText) {
    for (const int64_t windows : {0, 1, 3}) {
        const Evaluation e = evaluated(23, 2, windows);
        ASSERT_TRUE(e.bits_per_byte);
        EXPECT_DOUBLE_EQ(*e.bits_per_byte, e.loss / std::numbers::ln2 * 22 / kText) << windows << " windows";
    }
}

}  // namespace
}  // namespace sluice
