// Pointwise ops and SwiGLU on a GPU's backend.
#include <limits>

#include "cuda/case.h"

namespace sluice {
namespace {

template <class T>
class CudaPointwise : public testing::Test {};
using Types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaPointwise, Types);

const std::vector<int64_t> kCounts = awkward_widths({0, 2056});
constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();

// Tensors are (count, 1), so that each number is held to the tolerance.
TYPED_TEST(CudaPointwise, Activations) {
    for (const auto& [word, act] : EnumNames<Activation>::all)
        for (const int64_t count : kCounts)
            for (const bool in_place : {false, true}) {
                SCOPED_TRACE(testing::Message() << word << ", " << count << (in_place ? " in place" : ""));
                hold<TypeParam>([&, act = act](auto& c) {
                    using B = typename std::remove_reference_t<decltype(c)>::Backend;
                    auto *x = c.T("x", count, 1), *z = c.T("z", count, 1), *dy = c.T("dy", count, 1);
                    activation_forward<B>(c.stream(), in_place ? x : c.T("y", count, 1), x, count, act);
                    activation_backward<B>(c.stream(), in_place ? dy : c.T("dx", count, 1), dy, z, count, act);
                    for (const char* name : {in_place ? "x" : "y", in_place ? "dy" : "dx"}) c.result(name);
                });
            }
}

// Tiny scores and large ones, each held by itself.
TYPED_TEST(CudaPointwise, SoftplusAndTanhOfEveryMagnitude) {
    for (const Activation act : {Activation::softplus, Activation::tanh})
        for (const double score : {1e-6, -1e-6, 0.5, -0.5, 0.625, 6.0, -6.0, 20.0, -20.0, 1e4, -1e4, 1e30, -1e30}) {
            SCOPED_TRACE(testing::Message() << enum_name(act) << " of " << score);
            hold<TypeParam>([&](auto& c) {
                using B = typename std::remove_reference_t<decltype(c)>::Backend;
                auto* s = c.T_values("s", {score});
                activation_forward<B>(c.stream(), c.T("y", 1, 1), s, 1, act);
                activation_backward<B>(c.stream(), c.T("ds", 1, 1), c.T_values("dy", {1}), s, 1, act);
                for (const char* name : {"y", "ds"}) c.result(name);
            });
        }
}

TYPED_TEST(CudaPointwise, Residual) {
    for (const double clip : {0.0, 0.5})
        for (const int64_t count : kCounts)
            for (const bool in_place : {false, true}) {
                SCOPED_TRACE(testing::Message() << "clip " << clip << ", " << count << (in_place ? " in place" : ""));
                hold<TypeParam>([&](auto& c) {
                    using B = typename std::remove_reference_t<decltype(c)>::Backend;
                    auto *x = c.T("x", count, 1), *y = c.T("y", count, 1), *dout = c.T("dout", count, 1);
                    residual_forward<B>(c.stream(), in_place ? x : c.T("out", count, 1), x, y, count, clip);
                    residual_backward<B>(c.stream(), in_place ? dout : c.T("dy", count, 1), dout, y, count, clip);
                    for (const char* name : {in_place ? "x" : "out", in_place ? "dout" : "dy"}) c.result(name);
                });
            }
}

// At the limit nothing is clipped and no gradient passes. NaN passes, both ways; infinity does without a limit.
TYPED_TEST(CudaPointwise, ResidualAtItsLimits) {
    const std::vector<double> y = {0.5, -0.5, 0.25, -0.25, 0.75, -0.75, kInfinity, -kInfinity, kNan, 0};
    for (const double clip : {0.0, 0.5})
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            const int64_t count = int64_t(y.size());
            auto* branch = c.T_values("y", y);
            residual_forward<B>(c.stream(), c.T("out", count, 1), c.T("x", count, 1), branch, count, clip);
            residual_backward<B>(c.stream(), c.T("dy", count, 1), c.T("dout", count, 1), branch, count, clip);
            for (const char* name : {"out", "dy"}) c.result(name);
        });
}

TYPED_TEST(CudaPointwise, Add) {
    for (const int64_t count : kCounts) {
        SCOPED_TRACE(count);
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            add<B>(c.stream(), c.T("x", count, 1), c.T("y", count, 1), count);
            c.result("x");
        });
    }
}

std::vector<MatrixSize> sizes() { return awkward_sizes({{9, 264}, {2, 1032}}); }

TYPED_TEST(CudaPointwise, Swiglu) {
    for (const auto& [rows, width] : sizes())
        for (const bool in_place : {false, true}) {
            SCOPED_TRACE(testing::Message() << rows << " x " << width << (in_place ? " in place" : ""));
            hold<TypeParam>([&](auto& c) {
                using B = typename std::remove_reference_t<decltype(c)>::Backend;
                auto* gate_up = c.T("gate_up", rows, 2 * width);
                swiglu_forward<B>(c.stream(), c.T("h", rows, width), gate_up, rows, width);
                swiglu_backward<B>(c.stream(), in_place ? gate_up : c.T("dgate_up", rows, 2 * width),
                                   c.T("dh", rows, width), gate_up, rows, width);
                for (const char* name : {"h", in_place ? "gate_up" : "dgate_up"}) c.result(name);
            });
        }
}

TYPED_TEST(CudaPointwise, WeightedSwiglu) {
    for (const auto& [rows, width] : sizes())
        for (const bool in_place : {false, true}) {
            SCOPED_TRACE(testing::Message() << rows << " x " << width << (in_place ? " in place" : ""));
            hold<TypeParam>([&](auto& c) {
                using B = typename std::remove_reference_t<decltype(c)>::Backend;
                auto *gate = c.T("gate", rows, width), *up = c.T("up", rows, width);
                auto* weight = c.A("weight", rows, 1);
                weighted_swiglu_forward<B>(c.stream(), c.T("h", rows, width), gate, up, weight, rows, width);
                weighted_swiglu_backward<B>(c.stream(), in_place ? gate : c.T("dgate", rows, width),
                                            in_place ? up : c.T("dup", rows, width), c.A("dweight", rows, 1),
                                            c.T("dh", rows, width), gate, up, weight, rows, width);
                for (const char* name : {"h", in_place ? "gate" : "dgate", in_place ? "up" : "dup", "dweight"})
                    c.result(name);
            });
        }
}

// Each tensor alone is not aligned to 16 bytes: an access may take only what all allow.
TYPED_TEST(CudaPointwise, AnyTensorMayBeUnaligned) {
    constexpr int64_t kRows = 3, kWidth = 16;
    for (int odd = 0; odd < 6; odd++) {
        SCOPED_TRACE(odd);
        Case<Cpu<double>, TypeParam> reference(0);
        Case<Cuda<TypeParam>, TypeParam> tested(0);
        const auto run = [&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            int number = 0;
            const auto at = [&](const char* name, int64_t count) {
                c.result(name);
                return c.T(name, 1, count + 1) + (number++ == odd);
            };
            constexpr int64_t kCount = kRows * kWidth;
            auto *h = at("h", kCount), *dh = at("dh", kCount), *gate = at("gate", 2 * kCount);
            auto *dgate = at("dgate", 2 * kCount), *up = at("up", kCount), *dup = at("dup", kCount);
            auto* weight = c.A("weight", 1, kRows);
            swiglu_forward<B>(c.stream(), h, gate, kRows, kWidth);
            swiglu_backward<B>(c.stream(), dgate, dh, gate, kRows, kWidth);
            add<B>(c.stream(), h, dgate, kCount);
            weighted_swiglu_forward<B>(c.stream(), dup, gate, up, weight, kRows, kWidth);
            add<B>(c.stream(), h, dup, kCount);
            weighted_swiglu_backward<B>(c.stream(), dgate, dup, c.A("dweight", 1, kRows), dh, gate, up, weight, kRows,
                                        kWidth);
            activation_backward<B>(c.stream(), dh, dgate, up, kCount, Activation::silu);
            return c.results();
        };
        const auto want = run(reference);
        for (const auto& [name, result] : run(tested))
            EXPECT_LE(distance(result.values, want.at(name).values, 0, result.width), kTolerance<TypeParam>) << name;
    }
}

}  // namespace
}  // namespace sluice
