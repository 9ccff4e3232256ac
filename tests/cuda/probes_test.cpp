// Probes on CUDA.
#include <cmath>
#include <numeric>

#include "cuda/case.h"

namespace sluice {
namespace {

template <class T>
class CudaProbes : public testing::Test {};
using Stored = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaProbes, Stored);
#define BACKEND(c) typename std::remove_reference_t<decltype(c)>::Backend

// Of `count` sums: 1, 2, 3 ...
template <class Sums>
std::vector<double> numbers(int64_t count) {
    std::vector<double> all(size_t(count) * sizeof(Sums) / sizeof(double));
    std::iota(all.begin(), all.end(), 1);
    return all;
}

// Columns of wider rows, of their own, or the same for all rows.
TYPED_TEST(CudaProbes, OfGates) {
    struct Scores {
        int64_t heads, channels;
    };
    for (const int64_t rows : {0, 1, 70})
        for (const auto& [heads, channels] : {Scores{1, 1}, {3, 1}, {2, 4}, {1, 33}, {2, 50}, {1, 130}, {3, 64}}) {
            const int64_t width = heads * channels;
            for (const int64_t stride : {int64_t{0}, width, width + 8, width + 13}) {
                if (kSanitized && rows == 70 && stride != width + 13) continue;
                SCOPED_TRACE(testing::Message()
                             << rows << " x " << heads << " x " << channels << ", stride " << stride);
                hold<TypeParam>([&](auto& c) {
                    const GateShape n{rows, heads, channels, {stride, channels, 1}};
                    const int64_t all = stride == 0 ? 1 : rows;
                    double* sums = c.values("sums", numbers<GateSums>(heads));
                    const auto* s = c.T("s", all, std::max(stride, width));
                    if (rows > 0)
                        gate_sums<BACKEND(c)>(c.stream(), reinterpret_cast<GateSums*>(sums), s, n,
                                              {Activation::sigmoid, 0.7});
                    c.result("sums");
                });
            }
        }
}

struct Attention {
    int64_t sequences, length, heads, kv_heads, dim, window;
    bool documents;
};
const Attention kCases[] = {{1, 1, 1, 1, 2, 0, false},  {0, 5, 2, 1, 4, 0, false},   {2, 9, 4, 2, 10, 3, false},
                            {1, 67, 2, 1, 33, 0, true}, {2, 35, 2, 2, 128, 9, true}, {1, 18, 3, 1, 256, 0, false},
                            {1, 70, 2, 1, 8, 0, true},  {1, 33, 1, 1, 1, 0, false}};

// lse and the keys' means are any numbers, so that nothing of them cancels.
TYPED_TEST(CudaProbes, OfAttention) {
    for (const Attention& a : kCases)
        for (const int64_t beside : {0, 8, 13}) {
            SCOPED_TRACE(testing::Message() << a.length << " x " << a.dim << " beside " << beside);
            hold<TypeParam>([&](auto& c) {
                const AttentionShape n{a.sequences, a.length, a.heads, a.kv_heads, a.dim, a.window, 0.2};
                const int64_t rows = n.sequences * n.length, q = n.heads * n.dim, k = n.kv_heads * n.dim;
                std::vector<int32_t> starts;
                for (int64_t i = 0; i < rows; i++) starts.push_back(int32_t(i % n.length / 6 * 6));
                const int32_t* doc_start = a.documents ? c.values("doc_start", starts) : nullptr;
                double* sums = c.values("sums", numbers<AttentionSums>(n.heads));
                const auto keys = c.part("k", rows, k + beside, beside / 8 * 8);
                const auto queries = c.part("q", rows, q + beside, 0);
                const auto* lse = c.A("lse", rows, n.heads);
                attention_sums<BACKEND(c)>(c.stream(), reinterpret_cast<AttentionSums*>(sums), lse,
                                           c.T("mean_k", rows, q), c.A("scores", rows, n.heads), queries, keys,
                                           doc_start, n);
                const int64_t tokens = std::min<int64_t>(n.sequences * n.length, n.length < 20 ? n.length : 13);
                attention_map<BACKEND(c)>(c.stream(), c.A("map", tokens, tokens), lse, queries, keys, doc_start, tokens,
                                          n);
                attention_mean_keys<BACKEND(c)>(c.stream(), c.T("means", rows, q), c.A("largest", rows, n.heads),
                                                queries, keys, doc_start, n);
                for (const char* result : {"sums", "map", "means", "largest"}) c.result(result);
            });
        }
}

TYPED_TEST(CudaProbes, OfMagnitudes) {
    struct Size {
        int64_t rows, heads, channels;
    };
    for (const auto& [rows, heads, channels] : {Size{0, 2, 4},
                                                {1, 1, 1},
                                                {1, 3, 1},
                                                {2, 1, 4},
                                                {3, 11, 1},
                                                {25, 5, 8},
                                                {257, 2, 4},
                                                {60, 3, 33},
                                                {1, 1, 300001},
                                                {40, 2048, 2}}) {
        if (kSanitized && rows * heads * channels > 10000) continue;
        SCOPED_TRACE(testing::Message() << rows << " x " << heads << " x " << channels);
        hold<TypeParam>([&](auto& c) {
            double* sums = c.values("sums", numbers<MagnitudeSums>(2 * heads));
            auto* of = reinterpret_cast<MagnitudeSums*>(sums);
            const int64_t width = heads * channels;
            magnitude_sums<BACKEND(c)>(c.stream(), of, c.T("x", rows, width), rows, heads, channels, 0.01);
            magnitude_sums<BACKEND(c)>(c.stream(), of + heads, c.T("y", rows, width), rows, heads, channels, -100);
            c.result("sums");
        });
    }
}

}  // namespace
}  // namespace sluice
