// Gates, means of scores over heads, and biases, on a GPU's backend.
#include <array>

#include "cuda/case.h"

namespace sluice {
namespace {

template <class T>
class CudaGate : public testing::Test {};
using Types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaGate, Types);

struct Sizes {
    int64_t rows, heads, channels;
};

// Every way in which a score can be broadcast. Rows of scores may stand `more` elements apart.
std::vector<GateShape> shapes(const Sizes& n, int64_t more = 0) {
    const int64_t R = n.rows, H = n.heads, K = n.channels;
    return {{R, H, K, {H * K + more, K, 1}},  // elementwise
            {R, H, K, {H + more, 1, 0}},      // headwise
            {R, H, K, {K + more, 0, 1}},      // elementwise, shared by heads
            {R, H, K, {1 + more, 0, 0}},      // headwise, shared by heads
            {R, H, K, {0, K, 1}},             // and the same as constants
            {R, H, K, {0, 1, 0}},
            {R, H, K, {0, 0, 1}},
            {R, H, K, {0, 0, 0}}};
}

struct Variant {
    GateShape n;
    Factor act = Activation::sigmoid;
    Combine how = Combine::multiply;
    Into into = Into::overwrite;
    std::array<int64_t, 3> more{};  // elements by which rows of y, dout and dy are wider than they need be
    bool in_place = false;          // dy is dout, and ds is s where it may be
    int unaligned = -1;             // which of y, dout, dy, s, ds, out begins an element later
};

// Where a part of rows that are `more` elements wider begins: aligned, so that the stride alone may not be.
int64_t begin(int64_t more) { return more % 8 ? 0 : more; }

template <class T>
void hold_gate(const Variant& v) {
    const GateShape& n = v.n;
    SCOPED_TRACE(testing::Message() << "rows " << n.rows << " heads " << n.heads << " channels " << n.channels
                                    << " strides " << n.stride.row << " " << n.stride.head << " " << n.stride.channel
                                    << " act " << enum_name(v.act.activation) << " how " << int(v.how) << " into "
                                    << int(v.into));
    hold<T>([&](auto& c) {
        using B = typename std::remove_reference_t<decltype(c)>::Backend;
        using BT = typename B::T;
        const int64_t width = n.heads * n.channels, stride = n.stride.row;
        const int64_t padded = n.rows + (v.unaligned >= 0);
        const auto rows = [&](const char* name, int which) {
            const int64_t more = v.more[size_t(which)];
            return c.part(name, padded, width + more, begin(more) + (v.unaligned == which));
        };
        const Rows<BT> y = rows("y", 0), dout = rows("dout", 1), dy = v.in_place ? dout : rows("dy", 2);
        const auto scores = [&](const char* name, int which) {
            BT* whole = stride ? c.T(name, padded, stride) : c.T(name, 1, n.scores() + 1);
            return whole + (v.unaligned == which);
        };
        BT *s = scores("s", 3), *out = c.T("out", padded, width) + (v.unaligned == 5);
        gate_forward<B>(c.stream(), out, y, s, n, v.act, v.how);
        c.result("out");
        c.result(v.in_place ? "dout" : "dy");
        if (!stride) {  // a parameter: its gradient is in G
            gate_backward<B>(c.stream(), dy, c.G("ds", 1, n.scores()), dout, y, s, n, v.act, v.how, v.into);
            return c.result("ds");
        }
        const bool reuse = v.in_place && n.stride.head != 0;
        gate_backward<B>(c.stream(), dy, reuse ? s : scores("ds", 4), dout, y, s, n, v.act, v.how, v.into);
        c.result(reuse ? "s" : "ds");
    });
}

TYPED_TEST(CudaGate, EveryBroadcastOfEverySize) {
    for (const Sizes& n : {Sizes{1, 1, 1},
                           {70, 1, 3},
                           {70, 2, 8},
                           {1, 3, 33},
                           {70, 3, 100},
                           {2, 1, 130},
                           {257, 2, 2},
                           {5, 2, 256},
                           {0, 2, 8}})
        for (const GateShape& shape : shapes(n)) hold_gate<TypeParam>({.n = shape});
}

TYPED_TEST(CudaGate, EveryActivationAndCombination) {
    for (const GateShape& shape : shapes({19, 2, 8}))
        for (const auto& [act_word, act] : EnumNames<Activation>::all)
            for (const auto& [how_word, how] : EnumNames<Combine>::all)
                hold_gate<TypeParam>({.n = shape, .act = {act, 1.5}, .how = how});
}

TYPED_TEST(CudaGate, AddsToGradients) {
    for (const int64_t rows : {70, 0})
        for (const GateShape& shape : shapes({rows, 3, 16})) hold_gate<TypeParam>({.n = shape, .into = Into::add});
}

TYPED_TEST(CudaGate, GradientsInPlace) {
    for (const Sizes& n : {Sizes{70, 2, 16}, {33, 3, 5}})
        for (const GateShape& shape : shapes(n))
            hold_gate<TypeParam>({.n = shape, .act = Activation::silu, .in_place = true});
}

TYPED_TEST(CudaGate, RowsOfWiderMatrices) {
    using More = std::array<int64_t, 3>;
    for (const int64_t of_scores : {8, 5})
        for (const More& more : {More{8, 8, 8}, {5, 8, 8}, {8, 5, 8}, {8, 8, 5}})
            for (const GateShape& shape : shapes({33, 2, 16}, of_scores))
                hold_gate<TypeParam>({.n = shape, .more = more});
}

TYPED_TEST(CudaGate, EachPointerUnalignedAlone) {
    for (const GateShape& shape : shapes({9, 2, 16}))
        for (const int unaligned : {0, 1, 2, 3, 4, 5}) hold_gate<TypeParam>({.n = shape, .unaligned = unaligned});
}

// Sums over several chunks of rows.
TYPED_TEST(CudaGate, ManyRowsOfConstants) {
    for (const GateShape& shape : shapes({1000, 2, 8}))
        if (shape.stride.row == 0)
            for (const Into into : {Into::overwrite, Into::add}) hold_gate<TypeParam>({.n = shape, .into = into});
}

TYPED_TEST(CudaGate, HeadMean) {
    for (const auto& [rows, heads, channels] :
         {Sizes{1, 1, 1}, {70, 3, 8}, {257, 2, 2}, {5, 4, 33}, {3, 2, 256}, {70, 5, 16}, {0, 2, 8}})
        for (const int64_t more : {0, 8, 3})
            hold<TypeParam>([&, rows = rows, heads = heads, channels = channels](auto& c) {
                using B = typename std::remove_reference_t<decltype(c)>::Backend;
                const int64_t wide = heads * channels + more, of = 2 * heads;
                head_mean_forward<B>(c.stream(), c.T("mean", rows, channels), c.part("s", rows, wide, begin(more)),
                                     rows, heads, channels, of);
                head_mean_backward<B>(c.stream(), c.part("ds", rows, wide, begin(more)), c.T("dmean", rows, channels),
                                      rows, heads, channels, of);
                c.result("mean");
                c.result("ds");
            });
}

TYPED_TEST(CudaGate, Bias) {
    for (const int64_t rows : {0, 1, 70, 257, 2100})
        for (const int64_t width : awkward_widths({256})) {
            if (rows * width > 34000) continue;
            for (const int64_t more : {0, 16, 3})
                hold<TypeParam>([&](auto& c) {
                    using B = typename std::remove_reference_t<decltype(c)>::Backend;
                    bias_forward<B>(c.stream(), c.part("y", rows, width + more, begin(more)), c.T("bias", 1, width),
                                    rows, width);
                    bias_backward<B>(c.stream(), c.G("db", 1, width), c.part("dy", rows, width + more, begin(more)),
                                     rows, width);
                    c.result("y");
                    c.result("db");
                });
        }
}

TYPED_TEST(CudaGate, EachPointerOfMeansAndBiasesUnalignedAlone) {
    for (const int unaligned : {0, 1, 2, 3, 4, 5, 6})
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            const auto dense = [&](const char* name, int which) { return c.T(name, 6, 16) + (unaligned == which); };
            const auto rows = [&](const char* name, int which) { return c.part(name, 6, 32, unaligned == which); };
            head_mean_forward<B>(c.stream(), dense("mean", 0), rows("s", 1), 5, 2, 16, 2);
            head_mean_backward<B>(c.stream(), rows("ds", 2), dense("dmean", 3), 5, 2, 16, 2);
            bias_forward<B>(c.stream(), rows("y", 4), dense("bias", 5), 5, 32);
            bias_backward<B>(c.stream(), c.G("db", 1, 32), rows("dy", 6), 5, 32);
            for (const char* name : {"mean", "ds", "y", "db"}) c.result(name);
        });
}

TEST(CudaGate, RefusesAParameterOfEachRow) {
    StreamOwner<Cuda<bf16>> stream;
    bf16* none = nullptr;
    float* ds = nullptr;
    const GateShape own{4, 2, 8, {16, 8, 1}};
    EXPECT_THROW((gate_backward<Cuda<bf16>>(stream.get(), {none, 16}, ds, {none, 16}, {none, 16}, none, own,
                                            Activation::sigmoid, Combine::multiply, Into::add)),
                 std::runtime_error);
}

}  // namespace
}  // namespace sluice
