// Softmax and ReLU attention of CUDA.
#include <cmath>

#include "cuda/case.h"

namespace sluice {
namespace {

constexpr int kJagged = -1;

struct Attention {
    int64_t sequences, length, heads, kv_heads, dim, window;
    int document = 0;  // tokens a document, one more in each sequence; 0: one; kJagged: starts that need not grow
};
// Tiles have 8 to 64 tokens, fewer for wide heads.
const Attention kCases[] = {
    {1, 1, 1, 1, 2, 0},       {0, 5, 2, 1, 4, 0},           {2, 0, 2, 1, 4, 0},       {2, 5, 2, 1, 4, 0},
    {3, 9, 4, 2, 10, 1},      {1, 67, 2, 1, 33, 66},        {1, 90, 2, 2, 8, 40, 33}, {1, 66, 1, 1, 64, 0, 20},
    {1, 35, 2, 1, 100, 0},    {1, 33, 2, 1, 128, 9},        {1, 18, 1, 1, 256, 0},    {1, 129, 2, 1, 1, 0},
    {1, 19, 2, 2, 130, 0, 7}, {2, 70, 1, 1, 3, 0, kJagged}, {1, 66, 2, 1, 16, 2},     {1, 70, 1, 1, 8, 100, kJagged}};

// How q, k and v lie: as tensors of their own; side by side in a wider matrix with 8 or 13 columns beside them; or each
// in a matrix of its own, of which only v's has no other columns. Pointers are aligned where strides are odd.
enum class Layout { own, beside_8, beside_13, mixed };
constexpr Layout kLayouts[] = {Layout::own, Layout::beside_8, Layout::beside_13, Layout::mixed};
// That of gradients: another, so that their strides alone may be odd.
Layout of_gradients(Layout layout) { return kLayouts[(size_t(layout) + 2) % 4]; }

template <class T>
class CudaAttention : public testing::Test {};
using Stored = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaAttention, Stored);

std::string text(const Attention& n, Layout layout) {
    return std::to_string(n.sequences) + " x " + std::to_string(n.length) + ", heads " + std::to_string(n.heads) + "/" +
           std::to_string(n.kv_heads) + ", dim " + std::to_string(n.dim) + ", window " + std::to_string(n.window) +
           ", document " + std::to_string(n.document) + ", layout " + std::to_string(int(layout));
}

template <class C>
const int32_t* doc_start(C& c, const Attention& n) {
    if (n.document == 0) return nullptr;
    std::vector<int32_t> starts;
    for (int64_t s = 0; s < n.sequences; s++)
        for (int64_t t = 0; t < n.length; t++)
            starts.push_back(
                int32_t(n.document == kJagged ? t * (7 + s) % (t + 1) : t / (n.document + s) * (n.document + s)));
    return c.values("doc_start", starts);
}

// q, k and v, or gradients of them, of a case.
template <class C>
struct Heads {
    using T = typename C::Backend::T;
    Rows<T> q, k, v;
};
template <class C>
Heads<C> heads(C& c, const std::string& name, const Attention& n, Layout layout) {
    const int64_t rows = n.sequences * n.length, q = n.heads * n.dim, k = n.kv_heads * n.dim;
    if (layout == Layout::own)
        return {c.part(name + "q", rows, q, 0), c.part(name + "k", rows, k, 0), c.part(name + "v", rows, k, 0)};
    if (layout == Layout::mixed)
        return {c.part(name + "q", rows, q + 13, 8), c.part(name + "k", rows, k + 8, 8),
                c.part(name + "v", rows, k, 0)};
    const int64_t beside = layout == Layout::beside_8 ? 8 : 13, width = q + 2 * k + beside;
    const std::string whole = name + "qkv";
    return {c.part(whole, rows, width, 8), c.part(whole, rows, width, 8 + q), c.part(whole, rows, width, 8 + q + k)};
}
template <class C>
void results(C& c, const std::string& name, Layout layout) {
    if (layout == Layout::beside_8 || layout == Layout::beside_13) return c.result(name + "qkv");
    for (const char* part : {"q", "k", "v"}) c.result(name + part);
}

AttentionShape shape(const Attention& n) {
    return {n.sequences, n.length, n.heads, n.kv_heads, n.dim, n.window, 1 / std::sqrt(double(n.dim))};
}

// run(c, n, layout, shape) for all cases, in one layout each, in turn.
template <class T, class Run>
void hold_all(Run run) {
    int turn = 0;
    for (const Attention& n : kCases) {
        const Layout layout = kLayouts[turn++ % 4];
        SCOPED_TRACE(text(n, layout));
        hold<T>([&](auto& c) { run(c, n, layout); });
    }
}
#define BACKEND(c) typename std::remove_reference_t<decltype(c)>::Backend

TYPED_TEST(CudaAttention, Forward) {
    hold_all<TypeParam>([](auto& c, const Attention& n, Layout layout) {
        const auto x = heads(c, "", n, layout);
        const int64_t rows = n.sequences * n.length;
        attention_forward<BACKEND(c)>(c.stream(), c.T("out", rows, n.heads * n.dim), c.A("lse", rows, n.heads), x.q,
                                      x.k, x.v, doc_start(c, n), shape(n));
        c.result("out");
        c.result("lse");
    });
}

// `out` and `lse` are any numbers, not those of forward: then nothing cancels, and every term of the formulas counts.
TYPED_TEST(CudaAttention, Backward) {
    hold_all<TypeParam>([](auto& c, const Attention& n, Layout layout) {
        const auto x = heads(c, "", n, layout), dx = heads(c, "d", n, of_gradients(layout));
        const int64_t rows = n.sequences * n.length, width = n.heads * n.dim;
        attention_backward<BACKEND(c)>(c.stream(), dx.q, dx.k, dx.v, c.A("delta", rows, n.heads), nullptr,
                                       c.T("dout", rows, width), c.T("out", rows, width), c.A("lse", rows, n.heads),
                                       x.q, x.k, x.v, doc_start(c, n), shape(n));
        results(c, "d", of_gradients(layout));
        c.result("delta");
    });
}

// Backward with what forward left.
TEST(CudaAttentionBoth, ForwardThenBackward) {
    for (const Attention& n : {Attention{2, 67, 4, 2, 8, 30, 20}, {1, 35, 2, 1, 100, 0}}) {
        SCOPED_TRACE(text(n, Layout::own));
        hold<float>([&](auto& c) {
            const auto x = heads(c, "", n, Layout::own), dx = heads(c, "d", n, Layout::own);
            const int64_t rows = n.sequences * n.length, width = n.heads * n.dim;
            auto *out = c.T("out", rows, width), *lse = c.A("lse", rows, n.heads);
            attention_forward<BACKEND(c)>(c.stream(), out, lse, x.q, x.k, x.v, doc_start(c, n), shape(n));
            attention_backward<BACKEND(c)>(c.stream(), dx.q, dx.k, dx.v, c.A("delta", rows, n.heads), nullptr,
                                           c.T("dout", rows, width), out, lse, x.q, x.k, x.v, doc_start(c, n),
                                           shape(n));
            results(c, "d", Layout::own);
        });
    }
}

TYPED_TEST(CudaAttention, ReluForward) {
    hold_all<TypeParam>([](auto& c, const Attention& n, Layout layout) {
        const auto x = heads(c, "", n, layout);
        relu_attention_forward<BACKEND(c)>(c.stream(), c.T("out", n.sequences * n.length, n.heads * n.dim), x.q, x.k,
                                           x.v, doc_start(c, n), shape(n));
        c.result("out");
    });
}

TYPED_TEST(CudaAttention, ReluBackward) {
    hold_all<TypeParam>([](auto& c, const Attention& n, Layout layout) {
        const auto x = heads(c, "", n, layout), dx = heads(c, "d", n, of_gradients(layout));
        relu_attention_backward<BACKEND(c)>(c.stream(), dx.q, dx.k, dx.v,
                                            c.T("dout", n.sequences * n.length, n.heads * n.dim), x.q, x.k, x.v,
                                            doc_start(c, n), shape(n));
        results(c, "d", of_gradients(layout));
    });
}

// Scores of hundreds, up and down along the keys: weights are kept relative to the largest so far.
TYPED_TEST(CudaAttention, LargeScores) {
    constexpr int64_t kLength = 150;
    std::vector<double> ones(kLength, 1), keys;
    for (int64_t t = 0; t < kLength; t++) keys.push_back(t % 3 == 0 ? double(t) : t % 3 == 1 ? -100 : double(t - 1));
    hold<TypeParam>([&](auto& c) {
        const auto *q = c.T_values("q", ones), *k = c.T_values("k", keys);
        attention_forward<BACKEND(c)>(c.stream(), c.T("out", kLength, 1), c.A("lse", kLength, 1), {q, 1}, {k, 1},
                                      {c.T("v", kLength, 1), 1}, nullptr, {1, kLength, 1, 1, 1, 0, 8});
        c.result("out");
        c.result("lse");
    });
}

// A score of NaN shows in the queries that see its key, and only there.
TYPED_TEST(CudaAttention, NanShowsWhereItIsSeen) {
    constexpr int64_t kLength = 80, kKey = 70, kWindow = 4;
    std::vector<double> keys(kLength, 0.5);
    keys[kKey] = std::nan("");
    Case<Cuda<TypeParam>, TypeParam> c(0);
    using B = Cuda<TypeParam>;
    const AttentionShape n = {1, kLength, 1, 1, 1, kWindow, 1};
    const auto *q = c.T("q", kLength, 1), *k = c.T_values("k", keys), *v = c.T("v", kLength, 1);
    attention_forward<B>(c.stream(), c.T("softmax", kLength, 1), c.A("lse", 1, kLength), {q, 1}, {k, 1}, {v, 1},
                         nullptr, n);
    relu_attention_forward<B>(c.stream(), c.T("relu", kLength, 1), {q, 1}, {k, 1}, {v, 1}, nullptr, n);
    for (const char* name : {"softmax", "lse", "relu"}) c.result(name);
    for (const auto& [name, result] : c.results())
        for (int64_t t = 0; t < kLength; t++)
            EXPECT_EQ(std::isnan(result.values[size_t(t)]), t >= kKey && t < kKey + kWindow) << name << " " << t;
}

}  // namespace
}  // namespace sluice
