// Probes on CUDA.
#include <cmath>

#include "cuda/case.h"

namespace sluice {
namespace {

template <class T>
class CudaProbes : public testing::Test {};
using Stored = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaProbes, Stored);
#define BACKEND(c) typename std::remove_reference_t<decltype(c)>::Backend

// Columns of wider rows, of their own, or the same for all rows.
TYPED_TEST(CudaProbes, OfGates) {
    for (const int64_t rows : {0, 1, 70, 257})
        for (const int64_t width : {1, 3, 8, 33, 100, 130, 256})
            for (const int64_t stride : {int64_t{0}, width, width + 8, width + 13}) {
                if (kSanitized && rows == 257 && stride != width + 13) continue;
                SCOPED_TRACE(testing::Message() << rows << " x " << width << ", stride " << stride);
                hold<TypeParam>([&](auto& c) {
                    const GateShape n{rows, 1, width, {stride, width, 1}};
                    const int64_t all = stride == 0 ? 1 : rows;
                    double* sums = c.values("sums", std::vector<double>{1, 2, 3});
                    const auto* s = c.T("s", all, std::max(stride, width));
                    if (rows > 0)
                        gate_sums<BACKEND(c)>(c.stream(), reinterpret_cast<GateSums*>(sums), s, n,
                                              {Activation::sigmoid, 0.7});
                    c.result("sums");
                });
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
                double* sums = c.values("sums", std::vector<double>{1, 2, 3});
                const auto keys = c.part("k", rows, k + beside, beside / 8 * 8);
                const auto queries = c.part("q", rows, q + beside, 0);
                attention_sums<BACKEND(c)>(c.stream(), reinterpret_cast<AttentionSums*>(sums),
                                           c.A("lse", rows, n.heads), c.T("mean_k", rows, q), queries, keys, doc_start,
                                           n);
                attention_mean_keys<BACKEND(c)>(c.stream(), c.T("means", rows, q), c.A("largest", rows, n.heads),
                                                queries, keys, doc_start, n);
                for (const char* result : {"sums", "means", "largest"}) c.result(result);
            });
        }
}

TYPED_TEST(CudaProbes, OfTheLargest) {
    for (const int64_t count : {0, 1, 3, 8, 33, 1000, 2056, 300001})
        for (const Of of : {Of::values, Of::magnitudes}) {
            if (kSanitized && count > 10000) continue;
            SCOPED_TRACE(count);
            hold<TypeParam>([&](auto& c) {
                double* largest = c.values("largest", std::vector<double>{0.25, -100});
                raise_to_largest<BACKEND(c)>(c.stream(), largest, c.T("x", 1, count), count, of);
                raise_to_largest<BACKEND(c)>(c.stream(), largest + 1, c.A("a", 1, count), count, of);
                c.result("largest");
            });
        }
}

}  // namespace
}  // namespace sluice
