// Kernels whose threads work together, at tiny sizes, for the thread sanitizer: it takes each thread of a block for one
// and ends the program with its report where two of them touch a word of device memory with no barrier between, which
// the emulator does not see. What they compute is held elsewhere.
#include "cuda/case.h"

namespace sluice {
namespace {

template <class B>
class CudaThreads : public testing::Test {
 protected:
    void TearDown() override { memory_of<B>().wait(c.stream()); }
    int32_t* ids(const std::string& name, int64_t count, int64_t below) {
        std::vector<int32_t> ids;
        for (int64_t i = 0; i < count; i++) ids.push_back(int32_t(i * i % below));
        return c.values(name, ids);
    }
    Case<B, typename B::T> c{1};
};
using Backends = testing::Types<Cuda<float>, Cuda<bf16>>;
TYPED_TEST_SUITE(CudaThreads, Backends);

constexpr int64_t kRows = 5, kWidth = 100;
constexpr RopeShape kHeads{1, 5, 2, 50};

TYPED_TEST(CudaThreads, Norms) {
    using B = TypeParam;
    auto& c = this->c;
    const Stream s = c.stream();
    auto *x = c.T("x", kRows, kWidth), *y = c.T("y", kRows, kWidth), *z = c.T("z", kRows, kWidth);
    auto *w = c.T("w", 1, kWidth), *u = c.T("u", 1, kWidth);
    auto *rstd = c.A("rstd", kRows, 2), *sums = c.A("sums", kRows, 1);
    auto *cos = c.A("cos", kRows, 25), *sin = c.A("sin", kRows, 25);
    auto *dw = c.G("dw", 1, kWidth), *du = c.G("du", 1, kWidth);
    rmsnorm_forward<B>(s, y, rstd, x, w, kRows, kWidth, 1e-6);
    rmsnorm_backward<B>(s, x, dw, x, y, w, rstd, kRows, kWidth, Into::overwrite);
    residual_rmsnorm_forward<B>(s, x, z, rstd, x, y, w, kRows, kWidth, 1e-6, 1);
    rmsnorm_rope_forward<B>(s, z, rstd, {x, kWidth}, w, cos, sin, kHeads, 1e-6);
    rmsnorm_rope_backward<B>(s, {x, kWidth}, dw, {x, kWidth}, {z, kWidth}, w, rstd, cos, sin, kHeads);
    sum_of_squares_by_row<B>(s, sums, x, kRows, kWidth);
    rela_norm_forward<B>(s, y, rstd, x, sums, w, u, kRows, kWidth, kWidth, 1e-6);
    rela_norm_dots<B>(s, sums, y, x, w, u, kRows, kWidth);
    rela_norm_backward<B>(s, z, dw, du, y, x, w, u, rstd, sums, kRows, kWidth, kWidth);
}

TYPED_TEST(CudaThreads, Attention) {
    using B = TypeParam;
    auto& c = this->c;
    const Stream s = c.stream();
    const AttentionShape n{1, 70, 2, 1, 10, 66, 0.3};
    auto *q = c.T("q", n.length, 20), *k = c.T("k", n.length, 10), *v = c.T("v", n.length, 10);
    auto *out = c.T("out", n.length, 20), *dout = c.T("dout", n.length, 20);
    auto *lse = c.A("lse", 2, n.length), *delta = c.A("delta", 2, n.length);
    auto *dq = c.T("dq", n.length, 20), *dk = c.T("dk", n.length, 10), *dv = c.T("dv", n.length, 10);
    attention_forward<B>(s, out, lse, {q, 20}, {k, 10}, {v, 10}, nullptr, n);
    attention_backward<B>(s, {dq, 20}, {dk, 10}, {dv, 10}, delta, nullptr, dout, out, lse, {q, 20}, {k, 10}, {v, 10},
                          nullptr, n);
    relu_attention_forward<B>(s, out, {q, 20}, {k, 10}, {v, 10}, nullptr, n);
    relu_attention_backward<B>(s, {dq, 20}, {dk, 10}, {dv, 10}, dout, {q, 20}, {k, 10}, {v, 10}, nullptr, n);
}

TYPED_TEST(CudaThreads, Probes) {
    using B = TypeParam;
    auto& c = this->c;
    const Stream s = c.stream();
    const AttentionShape n{1, 9, 2, 1, 10, 7, 0.3};
    auto *q = c.T("q", n.length, 20), *k = c.T("k", n.length, 10), *mean_k = c.T("mean_k", n.length, 20);
    auto *lse = c.A("lse", 2, n.length), *largest = c.A("largest", 2, n.length);
    double* sums = c.values("sums", std::vector<double>(2 * sizeof(GateSums) / sizeof(double)));
    gate_sums<B>(s, reinterpret_cast<GateSums*>(sums), q, {9, 2, 10, {20, 10, 1}}, {Activation::sigmoid});
    attention_sums<B>(s, reinterpret_cast<AttentionSums*>(sums), lse, mean_k, largest, {q, 20}, {k, 10}, nullptr, n);
    attention_map<B>(s, c.A("map", 9, 9), lse, {q, 20}, {k, 10}, nullptr, 9, n);
    magnitude_sums<B>(s, reinterpret_cast<MagnitudeSums*>(sums), q, 9, 2, 10, 1);
}

TYPED_TEST(CudaThreads, ProductsAndSums) {
    using B = TypeParam;
    auto& c = this->c;
    const Stream s = c.stream();
    auto *x = c.T("x", kRows, kWidth), *w = c.T("w", 7, kWidth), *y = c.T("y", kRows, 7);
    linear_forward<B>(s, y, x, w, kRows, kWidth, 7);
    linear_backward_input<B>(s, x, y, w, kRows, kWidth, 7, Into::overwrite);
    linear_backward_weight<B>(s, c.G("dw", 7, kWidth), y, x, kRows, kWidth, 7);
    const auto* offsets = c.values("offsets", std::vector<int64_t>{0, 2, kRows});
    const GroupedShape n{offsets, kRows, 2, kWidth, 7};
    auto* experts = c.T("experts", 14, kWidth);
    grouped_linear_forward<B>(s, y, x, experts, n);
    grouped_linear_backward_input<B>(s, x, y, experts, n, Into::add);
    grouped_linear_backward_weight<B>(s, c.G("dexperts", 14, kWidth), y, x, n);
    auto *h = c.T("h", kRows, kWidth), *gate = c.T("gate", kRows, kWidth);
    weighted_swiglu_backward<B>(s, gate, x, c.A("dweight", 1, kRows), h, gate, x, c.A("weight", 1, kRows), kRows,
                                kWidth);
    orthogonalize<B>(s, x, kRows, 33, c.T("scratch", 1, orthogonalize_scratch(kRows, 33)));
}

TYPED_TEST(CudaThreads, EmbeddingAndLoss) {
    using B = TypeParam;
    auto& c = this->c;
    const Stream s = c.stream();
    constexpr int64_t kVocab = 300;
    const auto* tokens = this->ids("tokens", kRows, 3);  // 0 1 1 0 1
    const auto* order = c.values("order", std::vector<int32_t>{0, 3, 1, 2, 4});
    embedding_backward<B>(s, c.G("dtable", 3, kWidth), c.T("dout", kRows, kWidth), tokens, order, kRows, kWidth, 0, 3);
    auto* logits = c.T("logits", kRows, kVocab);
    auto *stats = c.A("stats", kRows, 3), *losses = c.A("losses", 1, kRows), *lse = c.A("lse", 1, kRows);
    cross_entropy_stats<B>(s, stats, logits, logits, tokens, kRows, 0, kVocab);
    cross_entropy_join<B>(s, losses, lse, stats, tokens, kRows, 1);
    cross_entropy_backward<B>(s, logits, stats, lse, tokens, kRows, 0, kVocab, 1);
    auto* total = c.values("total", std::vector<double>{0, 0, 0});
    sum_of_losses<B>(s, total, losses, kRows);
    const int64_t* spans = c.values("spans", std::vector<int64_t>{0, 300, 400, 100});
    sum_of_squares<B>(s, total, c.G("gradients", kRows, kWidth), reinterpret_cast<const Span*>(spans), 2);
}

TYPED_TEST(CudaThreads, RoutersAndExperts) {
    using B = TypeParam;
    auto& c = this->c;
    const Stream s = c.stream();
    const RouterShape n{9, 40, 3, true};
    constexpr int64_t kExperts = 40, kCount = 27;
    auto *logits = c.A("logits", 9, kExperts), *probs = c.A("probs", 9, kExperts), *lse = c.A("lse", 1, 9);
    auto *weights = c.A("weights", 9, 3), *load = c.A("load", 1, kExperts), *bias = c.A("bias", 1, kExperts);
    int32_t *chosen = this->ids("chosen", kCount, 7), *to = this->ids("to", kCount, 7);
    int64_t* counts = c.values("counts", std::vector<int64_t>(kExperts));
    double* sums = c.values("sums", std::vector<double>(3));
    router_forward<B>(s, probs, lse, chosen, weights, counts, logits, bias, n);
    expert_load<B>(s, load, counts, kExperts);
    router_backward<B>(s, c.T("dlogits", 9, kExperts), weights, probs, lse, chosen, weights, load, 0.3, 0.2, n);
    router_sums<B>(s, reinterpret_cast<RouterSums*>(sums), logits, probs, lse, load, 1, n);
    move_router_bias<B>(s, bias, counts, kExperts, 0.1);
    sort_by_expert<B>(s, to, chosen, counts, kCount, kExperts);
    int64_t* offsets = c.values("offsets", std::vector<int64_t>(kExperts + 1));
    expert_offsets<B>(s, offsets, counts, 1, kExperts);
    expert_arrivals<B>(s, this->ids("arrivals", kCount, 7), counts, 1, kExperts);
    auto *x = c.T("x", 9, kWidth), *copies = c.T("copies", kCount, kWidth);
    scatter_rows<B>(s, copies, x, to, 9, 3, kWidth);
    sum_rows_at<B>(s, x, copies, to, 9, 3, kWidth, Into::overwrite);
    // Switch Heads: 2 heads of 40 experts of 3 channels.
    auto *y = c.T("heads", 3, 240), *scores = c.T("scores", 3, 80), *out = c.T("out", 3, 6);
    switch_forward<B>(s, out, {y, 240}, {scores, 80}, 3, 2, 40, 3, 4);
    switch_backward<B>(s, {c.T("dheads", 3, 240), 240}, {c.T("dscores", 3, 80), 80}, out, {y, 240}, {scores, 80}, 3, 2,
                       40, 3, 4);
}

}  // namespace
}  // namespace sluice
