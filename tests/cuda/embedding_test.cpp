// Token embedding on a GPU's backend.
#include <algorithm>
#include <numeric>

#include "cuda/case.h"

namespace sluice {
namespace {

template <class T>
class CudaEmbedding : public testing::Test {};
using Types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaEmbedding, Types);

constexpr int64_t kVocab = 12;  // of a shard

// Ids of `ids`, some of which are no shard's; and the rows sorted by them.
struct Batch {
    std::vector<int32_t> tokens, order;
};
Batch batch(int64_t rows, int32_t ids) {
    Batch b;
    for (int64_t r = 0; r < rows; r++) b.tokens.push_back(int32_t(r * r + 3 * r) % ids);
    b.order.resize(b.tokens.size());
    std::iota(b.order.begin(), b.order.end(), 0);
    std::ranges::stable_sort(b.order, {}, [&](int32_t r) { return b.tokens[size_t(r)]; });
    return b;
}

// unaligned: which of out, table, dtable, dout begins an element later.
template <class T>
void hold_embedding(const Batch& b, int64_t width, int64_t first_id, int unaligned = -1) {
    const int64_t rows = int64_t(b.tokens.size());
    SCOPED_TRACE(testing::Message() << "rows " << rows << " width " << width << " first id " << first_id);
    hold<T>([&](auto& c) {
        using B = typename std::remove_reference_t<decltype(c)>::Backend;
        const int32_t *tokens = c.values("tokens", b.tokens), *order = c.values("order", b.order);
        const int64_t padded = rows + (unaligned >= 0);
        auto *out = c.T("out", padded, width) + (unaligned == 0), *dout = c.T("dout", padded, width) + (unaligned == 3);
        const auto* table = c.T("table", kVocab + 1, width) + (unaligned == 1);
        auto* dtable = c.G("dtable", kVocab + 1, width) + (unaligned == 2);
        embedding_forward<B>(c.stream(), out, tokens, table, rows, width, first_id, kVocab);
        embedding_backward<B>(c.stream(), dtable, dout, tokens, order, rows, width, first_id, kVocab);
        c.result("out");
        c.result("dtable");
    });
}

TYPED_TEST(CudaEmbedding, EverySize) {
    for (const auto& [rows, width] : awkward_sizes()) hold_embedding<TypeParam>(batch(rows, 20), width, 3);
}

TYPED_TEST(CudaEmbedding, EachPointerUnalignedAlone) {
    for (const int unaligned : {0, 1, 2, 3}) hold_embedding<TypeParam>(batch(20, 20), 16, 3, unaligned);
}

TYPED_TEST(CudaEmbedding, SeveralTilesOfChannels) {
    for (const int64_t width : {520, 1040}) hold_embedding<TypeParam>(batch(9, 5), width, 0);
}

// Runs as long as what is loaded ahead, one shorter and one longer; and one run alone.
TYPED_TEST(CudaEmbedding, RunsOfEveryLength) {
    Batch runs;
    for (int32_t length = 1; length <= 18; length++) runs.tokens.insert(runs.tokens.end(), size_t(length), length / 2);
    runs.order.resize(runs.tokens.size());
    std::iota(runs.order.begin(), runs.order.end(), 0);
    hold_embedding<TypeParam>(runs, 8, 0);
    for (const int64_t length : {7, 8, 9, 16, 17, 200}) hold_embedding<TypeParam>(batch(length, 1), 5, 0);
}

// Gradients of one token are added one after another, in order of rows: not a bit differs from a loop.
TEST(CudaEmbedding, AddsInOrderOfRows) {
    using B = Cuda<float>;
    const int64_t rows = 100;
    const Batch b = batch(rows, 1);
    std::vector<float> dout, dtable{0.1f, 0.2f, 0.3f, 0.4f};
    for (int64_t i = 0; i < rows * 4; i++) dout.push_back(std::sin(float(i)));
    std::vector<float> want = dtable;
    for (size_t i = 0; i < dout.size(); i++) want[i % 4] += dout[i];
    for (const int64_t shift : {0, 1}) {
        Case<B, float> c(shift);
        embedding_backward<B>(c.stream(), c.values("dtable", dtable), c.values("dout", dout),
                              c.values("tokens", b.tokens), c.values("order", b.order), rows, 4, 0, 1);
        c.result("dtable");
        const std::vector<double> got = c.results().at("dtable").values;
        for (size_t i = 0; i < 4; i++) EXPECT_EQ(float(got[i]), want[i]);
    }
}

}  // namespace
}  // namespace sluice
