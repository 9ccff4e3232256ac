// AdamW, the rounding of masters and the sum of squares, over lists of spans.
#include <array>
#include <bit>

#include "cuda/case.h"

namespace sluice {
namespace {

template <class T>
class OptimizerOnDevice : public testing::Test {};
using Types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(OptimizerOnDevice, Types);

// A list of spans in a backend's memory. Case holds numbers, so they go in as words.
template <class S, class C>
const S* put_spans(C& c, const std::vector<S>& spans) {
    static_assert(sizeof(S) % sizeof(int64_t) == 0);
    std::vector<int64_t> words(spans.size() * sizeof(S) / sizeof(int64_t));
    if (!spans.empty()) std::memcpy(words.data(), spans.data(), spans.size() * sizeof(S));
    return reinterpret_cast<const S*>(c.values("spans", words));
}

TYPED_TEST(OptimizerOnDevice, AddsSquaresOverSpans) {
    const std::vector<std::vector<Span>> lists{
        {}, {{0, 1}}, {{4, 8}, {12, 0}, {13, 3}, {20, 33}, {64, 100}, {201, 1030}, {1300, 2}}, {{0, 5000}}};
    for (const auto& spans : lists)
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            sum_of_squares<B>(c.stream(), c.values("total", std::vector<double>{2.5}), c.G("x", 1, 5000),
                              put_spans(c, spans), int64_t(spans.size()));
            c.result("total");
        });
}

// More spans than the block that adds their sums has threads, and one of the full length.
TYPED_TEST(OptimizerOnDevice, AddsManySpans) {
    std::vector<Span> spans{{4, Cuda<TypeParam>::kSpan}};
    for (int64_t i = 0; i < 1100; i++) spans.push_back({i * 3, i % 4});
    hold<TypeParam>([&](auto& c) {
        using B = typename std::remove_reference_t<decltype(c)>::Backend;
        sum_of_squares<B>(c.stream(), c.values("total", std::vector<double>{0}),
                          c.G("x", 1, 4 + Cuda<TypeParam>::kSpan), put_spans(c, spans), int64_t(spans.size()));
        c.result("total");
    });
}

// Neither squares nor their sum are rounded to float: the result is exact.
TYPED_TEST(OptimizerOnDevice, AddsInDouble) {
    std::vector<double> x(300, 1 + 0x1p-12);
    x[3] = 4096;
    Case<Cuda<TypeParam>, TypeParam> c(0);
    sum_of_squares<Cuda<TypeParam>>(c.stream(), c.values("total", std::vector<double>{0}), c.A_values("x", x),
                                    put_spans<Span>(c, {{0, 299}}), 1);
    c.result("total");
    EXPECT_EQ(c.results().at("total").values[0], 0x1p24 + 298 * (1 + 0x1p-11 + 0x1p-24));
}

constexpr AdamW kStep{.lr = 0.02,
                      .beta1 = 0.9,
                      .beta2 = 0.95,
                      .eps = 1e-8,
                      .weight_decay = 0.3,
                      .gradient_scale = 0.5,
                      .correction1 = 1 - 0.9 * 0.9,
                      .correction2 = 1 - 0.95 * 0.95};

std::vector<double> positive(int64_t count) {
    std::vector<double> v;
    for (int64_t i = 0; i < count; i++) v.push_back(double(float(0.001 * double(1 + i * 37 % 101))));
    return v;
}

// Weights in bf16 are rounded from the masters, which the reference, whose weights are their own masters, keeps in
// their place. `unaligned`: which of w, master, m, v, g begins an element later.
template <class T>
void hold_adamw(const std::vector<AdamWSpan>& spans, int64_t count, int unaligned = -1) {
    hold<T>([&](auto& c) {
        using B = typename std::remove_reference_t<decltype(c)>::Backend;
        constexpr bool kOwn = std::is_same_v<typename B::T, typename B::A>;
        auto* w = c.T("w", 1, count + 1) + (unaligned == 0);
        auto* master = c.A("master", 1, count + 1) + (unaligned == 1);
        auto* m = c.A("m", 1, count + 1) + (unaligned == 2);
        auto* v = c.A_values("v", positive(count + 1)) + (unaligned == 3);
        const auto* g = c.G("g", 1, count + 1) + (unaligned == 4);
        std::vector<AdamWSpan> own = spans;
        if (std::is_same_v<T, bf16> && kOwn)
            for (AdamWSpan& s : own) s.weights = s.state;
        const AdamWSpan* list = put_spans(c, own);
        if constexpr (!kOwn)
            adamw<B>(c.stream(), w, master, m, v, g, list, int64_t(spans.size()), kStep);
        else
            adamw<B>(c.stream(), std::is_same_v<T, bf16> ? master : w, nullptr, m, v, g, list, int64_t(spans.size()),
                     kStep);
        if constexpr (kOwn && std::is_same_v<T, bf16>)
            for (const AdamWSpan& s : spans) round_weights<B>(c.stream(), w + s.weights, master + s.state, s.count);
        for (const char* name : {"w", "m", "v", "master"}) c.result(name);
    });
}

TYPED_TEST(OptimizerOnDevice, StepsOverSpans) {
    hold_adamw<TypeParam>({}, 8);
    hold_adamw<TypeParam>({{0, 0, 0, 1, true}}, 1);
    for (const bool decays : {false, true})
        for (const int64_t count : awkward_widths({1030, 2050}))
            hold_adamw<TypeParam>({{8, 4, 12, count, decays}}, 2100);
    // Weights, gradients and state begin at different places, each of which alone can be unaligned.
    hold_adamw<TypeParam>({{0, 200, 100, 33, true},
                           {41, 240, 160, 30, false},
                           {80, 281, 200, 25, true},
                           {120, 320, 241, 26, false},
                           {160, 360, 300, 0, true},
                           {163, 365, 307, 35, true}},
                          400);
}

TYPED_TEST(OptimizerOnDevice, TakesEachPointerUnalignedAlone) {
    for (const int unaligned : {0, 1, 2, 3, 4}) hold_adamw<TypeParam>({{4, 4, 4, 70, true}}, 80, unaligned);
}

TYPED_TEST(OptimizerOnDevice, StepsOverALongSpan) {
    const int64_t count = Cuda<TypeParam>::kSpan;
    hold_adamw<TypeParam>({{0, 0, 0, count, true}, {count, count, count, 6, false}}, count + 6);
}

// Every rounding, ties and what is not finite included: the bits of bf16, of aligned and unaligned arrays. Weights that
// are their own masters stay.
TYPED_TEST(OptimizerOnDevice, RoundsMastersToNearestEven) {
    std::vector<double> masters;
    for (const uint32_t high : {0x3f800000u, 0xbf810000u, 0x00010000u, 0x7f7f0000u, 0x7f800000u, 0x7fc00000u})
        for (const uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
            if ((high & 0x7f800000u) < 0x7f800000u || low == 0)
                masters.push_back(double(std::bit_cast<float>(high | low)));
    const bool own = std::is_same_v<TypeParam, float>;
    for (const int64_t count : {0, 1, 3, 7, 8, 25})
        for (const auto [w_shift, master_shift] : {std::array{0, 0}, {0, 1}, {1, 0}, {1, 1}}) {
            Case<Cuda<TypeParam>, TypeParam> untouched(0), c(0);
            untouched.T("w", 1, 40);
            untouched.result("w");
            auto* w = c.T("w", 1, 40) + w_shift;
            const float* from = own ? nullptr : c.A_values("master", masters) + master_shift;
            round_weights<Cuda<TypeParam>>(c.stream(), w, from, count);
            c.result("w");
            const std::vector<double> after = c.results().at("w").values;
            std::vector<double> want = untouched.results().at("w").values;
            for (int64_t i = 0; i < count && !own; i++)
                want[size_t(w_shift + i)] = double(float(bf16(float(masters[size_t(master_shift + i)]))));
            for (size_t i = 0; i < want.size(); i++)
                EXPECT_TRUE(after[i] == want[i] || (std::isnan(after[i]) && std::isnan(want[i])))
                    << "element " << i << " of " << count << " is " << after[i] << ", not " << want[i];
        }
}

}  // namespace
}  // namespace sluice
