// Zero rows are nothing, for every op: no tensor of rows is looked at, and what is summed over rows stays as it was. An
// expert without tokens, a rank without sequences and a batch without documents come to that.
#include <gtest/gtest.h>

#include "kernels/memory.h"
#include "kernels/probes.h"

namespace sluice {
namespace {

constexpr int64_t kHeads = 2, kDim = 4, kWidth = kHeads * kDim, kExperts = 3, kTopK = 2;

template <class T>
class NoRows : public testing::Test {
 protected:
    using B = Cpu<T>;
    static constexpr T* kNone = nullptr;
    static constexpr Rows<T> kNoRows{nullptr, kWidth};

    // All that ops have of parameters: w is read, dw must keep its 3s.
    std::vector<T> w = std::vector<T>(64, T(1)), dw = std::vector<T>(64, T(3));
    void TearDown() override { EXPECT_EQ(dw, std::vector<T>(64, T(3))); }
};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(NoRows, Types);

TYPED_TEST(NoRows, Linear) {
    using B = typename TestFixture::B;
    TypeParam* none = this->kNone;
    TypeParam *w = this->w.data(), *dw = this->dw.data();
    linear_forward<B>({}, none, none, w, 0, kWidth, kDim);
    for (const Into into : {Into::overwrite, Into::add})
        linear_backward_input<B>({}, none, none, w, 0, kWidth, kDim, into);
    linear_backward_weight<B>({}, dw, none, none, 0, kWidth, kDim);
    bias_forward<B>({}, this->kNoRows, w, 0, kWidth);
    bias_backward<B>({}, dw, this->kNoRows, 0, kWidth);
}

TYPED_TEST(NoRows, EmbeddingAndLoss) {
    using B = typename TestFixture::B;
    TypeParam* none = this->kNone;
    embedding_forward<B>({}, none, nullptr, this->w.data(), 0, kWidth, 0, kDim);
    embedding_backward<B>({}, this->dw.data(), none, nullptr, nullptr, 0, kWidth, 0, kDim);
    cross_entropy_stats<B>({}, none, none, none, nullptr, 0, 0, kWidth);
    cross_entropy_join<B>({}, none, none, none, nullptr, 0, 2);
    cross_entropy_backward<B>({}, none, none, none, nullptr, 0, 0, kWidth, 1);
}

TYPED_TEST(NoRows, Norms) {
    using B = typename TestFixture::B;
    TypeParam* none = this->kNone;
    TypeParam *w = this->w.data(), *dw = this->dw.data();
    const RopeShape heads{0, 5, kHeads, kDim};
    rmsnorm_forward<B>({}, none, none, none, w, 0, kWidth, 1e-6);
    residual_rmsnorm_forward<B>({}, none, none, none, none, none, w, 0, kWidth, 1e-6, 1);
    rmsnorm_rope_forward<B>({}, none, none, this->kNoRows, w, w, w, heads, 1e-6);
    rmsnorm_rope_backward<B>({}, this->kNoRows, dw, this->kNoRows, this->kNoRows, w, none, w, w, heads);
    rope<B>({}, this->kNoRows, w, w, heads, 1);
    for (const Into into : {Into::overwrite, Into::add})
        rmsnorm_backward<B>({}, none, dw, none, none, w, none, 0, kWidth, into);
    sum_of_squares_by_row<B>({}, none, none, 0, kWidth);
    rela_norm_forward<B>({}, none, none, none, none, w, w, 0, kWidth, kWidth, 1e-6);
    rela_norm_dots<B>({}, none, none, none, w, w, 0, kWidth);
    rela_norm_backward<B>({}, none, dw, dw, none, none, w, w, none, none, 0, kWidth, kWidth);
}

TYPED_TEST(NoRows, Attention) {
    using B = typename TestFixture::B;
    TypeParam* none = this->kNone;
    const Rows<TypeParam> no = this->kNoRows;
    for (const AttentionShape& n : {AttentionShape{0, 5, kHeads, 1, kDim, 0, 1}, {1, 0, kHeads, 1, kDim, 3, 1}}) {
        attention_forward<B>({}, none, none, no, no, no, nullptr, n);
        attention_backward<B>({}, no, no, no, none, nullptr, none, none, none, no, no, no, nullptr, n);
        relu_attention_forward<B>({}, none, no, no, no, nullptr, n);
        relu_attention_backward<B>({}, no, no, no, none, no, no, no, nullptr, n);
    }
}

TYPED_TEST(NoRows, Gates) {
    using B = typename TestFixture::B;
    TypeParam* none = this->kNone;
    const Rows<TypeParam> no = this->kNoRows;
    const GateShape of_rows{0, kHeads, kDim, {kWidth, kDim, 1}};
    gate_forward<B>({}, none, no, none, of_rows, Activation::sigmoid, Combine::multiply);
    for (const Into into : {Into::overwrite, Into::add})
        gate_backward<B>({}, no, none, no, no, none, of_rows, Activation::sigmoid, Combine::multiply, into);
    // A score of all rows is a parameter.
    const GateShape of_all{0, kHeads, kDim, {0, kDim, 1}};
    gate_forward<B>({}, none, no, this->w.data(), of_all, Activation::silu, Combine::add);
    gate_backward<B>({}, no, this->dw.data(), no, no, this->w.data(), of_all, Activation::silu, Combine::add,
                     Into::add);
    head_mean_forward<B>({}, none, no, 0, kHeads, kDim, kHeads);
    head_mean_backward<B>({}, no, none, 0, kHeads, kDim, kHeads);
    switch_forward<B>({}, none, no, no, 0, kHeads, kExperts, kDim, kTopK);
    switch_backward<B>({}, no, no, none, no, no, 0, kHeads, kExperts, kDim, kTopK);
}

TYPED_TEST(NoRows, Experts) {
    using B = typename TestFixture::B;
    TypeParam* none = this->kNone;
    TypeParam *w = this->w.data(), *dw = this->dw.data();
    const RouterShape shape{0, kExperts, kTopK, true};
    int64_t counts[kExperts] = {};
    const int64_t offsets[kExperts + 1] = {};
    router_forward<B>({}, none, none, nullptr, none, counts, none, w, shape);
    for (const int64_t count : counts) EXPECT_EQ(count, 0);
    router_backward<B>({}, none, none, none, none, nullptr, none, w, 0.2, 0.1, shape);
    RouterSums sums{1, 2, 3};
    router_sums<B>({}, &sums, none, none, none, w, 1, shape);
    EXPECT_EQ(sums.balance + 10 * sums.z + 100 * sums.entropy, 321);
    sort_by_expert<B>({}, nullptr, nullptr, counts, 0, kExperts);
    gather_rows<B>({}, none, static_cast<const TypeParam*>(none), nullptr, 0, kWidth);
    scatter_rows<B>({}, none, static_cast<const TypeParam*>(none), nullptr, 0, kTopK, kWidth);
    const GroupedShape grouped{offsets, 0, kExperts, kDim, kDim};
    grouped_linear_forward<B>({}, none, none, w, grouped);
    for (const Into into : {Into::overwrite, Into::add}) {
        sum_rows_at<B>({}, none, none, nullptr, 0, kTopK, kWidth, into);
        grouped_linear_backward_input<B>({}, none, none, w, grouped, into);
    }
    grouped_linear_backward_weight<B>({}, dw, none, none, grouped);
    weighted_swiglu_forward<B>({}, none, none, none, none, 0, kWidth);
    weighted_swiglu_backward<B>({}, none, none, none, none, none, none, none, 0, kWidth);
}

TYPED_TEST(NoRows, PointwiseAndOptimizers) {
    using B = typename TestFixture::B;
    TypeParam* none = this->kNone;
    activation_forward<B>({}, none, none, 0, Activation::silu);
    activation_backward<B>({}, none, none, none, 0, Activation::silu);
    swiglu_forward<B>({}, none, none, 0, kWidth);
    swiglu_backward<B>({}, none, none, none, 0, kWidth);
    residual_forward<B>({}, none, none, none, 0, 1);
    residual_backward<B>({}, none, none, none, 0, 1);
    add<B>({}, none, none, 0);
    zero<B>({}, none, 0);
    double total = 3;
    const Span empty{0, 0};
    sum_of_squares<B>({}, &total, none, nullptr, 0);
    sum_of_squares<B>({}, &total, none, &empty, 1);
    sum_of_losses<B>({}, &total, none, 0);
    EXPECT_EQ(total, 3);
    round_weights<B>({}, none, none, 0);
    const AdamW update{1e-3, 0.9, 0.95, 1e-8, 0.1, 1, 0.1, 0.05};
    const AdamWSpan nothing{0, 0, 0, 0, true};
    adamw<B>({}, none, none, none, none, none, nullptr, 0, update);
    adamw<B>({}, none, none, none, none, none, &nothing, 1, update);
    muon_momentum<B>({}, none, none, none, 0, 0.95, 1);
    orthogonalize<B>({}, none, 0, kWidth, none);
    orthogonalize<B>({}, none, kWidth, 0, none);
    muon_update<B>({}, none, none, this->kNoRows, 0, kWidth, 1e-3, 1, 0.1);
    for (const Into into : {Into::overwrite, Into::add})
        copy_rows<B>({}, this->kNoRows, this->kNoRows, 0, kWidth, into);
}

TYPED_TEST(NoRows, Probes) {
    using B = typename TestFixture::B;
    TypeParam* none = this->kNone;
    const Rows<const TypeParam> no = this->kNoRows;
    GateSums gates{1, 2};
    gate_sums<B>({}, &gates, none, {0, kHeads, kDim, {kWidth, 0, 1}}, {Activation::sigmoid});
    EXPECT_EQ(gates.count + 10 * gates.sum + 100 * gates.under[0] + 1000 * gates.bins[0], 21);
    std::vector<AttentionSums> attention(kHeads, {1, 2, 3, 4});
    for (const AttentionShape& n : {AttentionShape{0, 5, kHeads, 1, kDim, 0, 1}, {1, 0, kHeads, 1, kDim, 3, 1}}) {
        attention_mean_keys<B>({}, none, none, no, no, nullptr, n);
        attention_sums<B>({}, attention.data(), none, none, none, no, no, nullptr, n);
        attention_map<B>({}, none, none, no, no, nullptr, 0, n);
    }
    for (const AttentionSums& of_head : attention)
        EXPECT_EQ(of_head.count + 10 * of_head.first + 100 * of_head.entropy + 1000 * of_head.largest, 4321);
    MagnitudeSums magnitudes{1, 2, {3, 4}, 5};
    magnitude_sums<B>({}, &magnitudes, none, 0, 1, kDim, 1);
    EXPECT_EQ(magnitudes.count + 10 * magnitudes.sum + 100 * magnitudes.under[1] + 1000 * magnitudes.largest, 5421);
}

}  // namespace
}  // namespace sluice
