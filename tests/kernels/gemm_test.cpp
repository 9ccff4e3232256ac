// Every way to multiply against the definition; and choices: as text, kept by machine, taken again.
#include "kernels/gemm.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <omp.h>
#include <sys/file.h>
#include <unistd.h>

#include <bit>
#include <fstream>

#include "base/machine.h"
#include "base/rng.h"
#include "kernels/ops.h"
#include "support/folder.h"
#include "support/oracle.h"

namespace sluice {
namespace {

constexpr GemmWay kWays[] = {GemmWay::matmul, GemmWay::sgemm, GemmWay::slabs, GemmWay::blis};

// linear_backward_weight of `rows`, a product that adds, with both operands' rows summed over.
std::vector<float> weight_gradient(int64_t rows, int64_t in, int64_t out) {
    const auto dy = cast<float>(noise(size_t(rows * out), 1)), x = cast<float>(noise(size_t(rows * in), 2));
    std::vector<float> dw(size_t(in * out), 1.0f);
    linear_backward_weight<Cpu<float>>({}, dw.data(), dy.data(), x.data(), rows, in, out);
    return dw;
}

std::vector<double> normals(size_t count, uint64_t seed) {
    std::vector<double> v(count);
    for (size_t i = 0; i < count; i++) v[i] = normal(seed, i);
    return v;
}

TEST(Gemm, EveryWayEqualsTheDefinition) {
    const int64_t in = 144, out = 80, rows = 5000;  // three slabs, the last a short one; worth timing
    const auto dy = noise(size_t(rows * out), 1), x = noise(size_t(rows * in), 2), w = noise(size_t(in * out), 3);
    std::vector<double> y(size_t(rows * out)), dx(size_t(rows * in), 1.0), dw(size_t(in * out), 1.0);
    linear_forward<Cpu<double>>({}, y.data(), x.data(), w.data(), rows, in, out);
    linear_backward_input<Cpu<double>>({}, dx.data(), dy.data(), w.data(), rows, in, out, Into::add);
    linear_backward_weight<Cpu<double>>({}, dw.data(), dy.data(), x.data(), rows, in, out);
    const auto xf = cast<float>(x), wf = cast<float>(w), dyf = cast<float>(dy);
    for (int threads = 1; const GemmWay way : kWays) {
        SCOPED_TRACE(to_word(way));
        omp_set_num_threads(++threads);  // a product that is ready stays so: another number of threads is another one
        use_gemm_choices({{{rows, out, in, false, true, false}, threads, way},
                          {{rows, in, out, false, false, true}, threads, way},
                          {{out, in, rows, true, false, true}, threads, way}});
        std::vector<float> yf(y.size()), dxf(dx.size(), 1.0f), dwf(dw.size(), 1.0f);
        linear_forward<Cpu<float>>({}, yf.data(), xf.data(), wf.data(), rows, in, out);
        linear_backward_input<Cpu<float>>({}, dxf.data(), dyf.data(), wf.data(), rows, in, out, Into::add);
        linear_backward_weight<Cpu<float>>({}, dwf.data(), dyf.data(), xf.data(), rows, in, out);
        EXPECT_LT(relative_error(yf, y), tolerance<float>());
        EXPECT_LT(relative_error(dxf, dx), tolerance<float>());
        EXPECT_LT(relative_error(dwf, dw), tolerance<float>());
        bool used = false;
        for (const GemmChoice& c : gemm_choices()) used |= c.shape.k == rows && c.threads == threads && c.way == way;
        EXPECT_TRUE(used);
    }
    omp_set_num_threads(1);
}

TEST(Bf16, RoundsToTheNearest) {
    for (const auto& [x, expected] : {std::pair{1.0f, 1.0f},
                                      {-2.5f, -2.5f},
                                      {1 + 1.0f / 256, 1.0f},           // a tie goes to the even one
                                      {1 + 3.0f / 256, 1 + 1.0f / 64},  // here too
                                      {1 + 1.1f / 256, 1 + 1.0f / 128},
                                      {3.4e38f, INFINITY},
                                      {-INFINITY, -INFINITY},
                                      {0.0f, 0.0f}})
        EXPECT_EQ(to_float(to_bf16(x)), expected) << x;
    EXPECT_TRUE(std::isnan(to_float(to_bf16(std::bit_cast<float>(0x7f800001)))));  // whose upper half is infinity
}

TEST(Bf16, ProductsAreTheDefinitionsToItsPrecision) {
    if (!multiplies_bf16(processor())) GTEST_SKIP() << "this processor has no AVX512-BF16";
    const int64_t in = 72, out = 40;
    for (const int64_t rows : {1, 63, 130, 300}) {
        const auto dy = normals(size_t(rows * out), 1), x = normals(size_t(rows * in), 2),
                   w = normals(size_t(2 * in * out), 3);
        const auto rounded = [](const std::vector<double>& v) {
            std::vector<double> r;
            for (double value : v) r.push_back(to_float(to_bf16(float(value))));
            return r;
        };
        const int64_t offsets[] = {0, rows / 3, rows};
        const GroupedShape groups{offsets, 2, in, out};
        const auto run = [&]<class B>(B, Stream stream, const auto& x, const auto& w, const auto& dy) {
            using T = typename B::T;
            std::vector<std::vector<T>> r{std::vector<T>(dy.size()),          std::vector<T>(x.size(), T(1)),
                                          std::vector<T>(w.size() / 2, T(1)), std::vector<T>(dy.size()),
                                          std::vector<T>(x.size(), T(1)),     std::vector<T>(w.size(), T(1))};
            linear_forward<B>(stream, r[0].data(), x.data(), w.data(), rows, in, out);
            linear_backward_input<B>(stream, r[1].data(), dy.data(), w.data(), rows, in, out, Into::add);
            linear_backward_weight<B>(stream, r[2].data(), dy.data(), x.data(), rows, in, out);
            grouped_linear_forward<B>(stream, r[3].data(), x.data(), w.data(), groups);
            grouped_linear_backward_input<B>(stream, r[4].data(), dy.data(), w.data(), groups, Into::overwrite);
            grouped_linear_backward_weight<B>(stream, r[5].data(), dy.data(), x.data(), groups);
            return r;
        };
        const auto products =
            run(Cpu<float>(), Stream{nullptr, MatmulPrecision::bf16}, cast<float>(x), cast<float>(w), cast<float>(dy));
        const auto exact = run(Cpu<double>(), {}, x, w, dy);
        const auto of_rounded = run(Cpu<double>(), {}, rounded(x), rounded(w), rounded(dy));
        const int64_t heights[] = {rows, rows, out, rows, rows, 2 * out};
        for (size_t i = 0; i < exact.size(); i++) {
            EXPECT_LT(relative_error_of_rows(products[i], exact[i], heights[i]), tolerance<bf16>()) << i;
            EXPECT_LT(relative_error(products[i], of_rounded[i]), tolerance<float>()) << i;
        }
    }
}

TEST(Gemm, ChoicesAreLines) {
    for (const GemmWay way : kWays)
        for (const bool flag : {false, true}) {
            const GemmChoice choice{{4096, 384, 1 << 20, flag, !flag, flag, false, flag}, 64, way};
            GemmChoice back{};
            ASSERT_TRUE(from_line(to_line(choice), back)) << to_line(choice);
            EXPECT_EQ(to_line(back), to_line(choice));
        }
    GemmChoice none{};
    for (const char* line :
         {"", "blis", "mkl 1x1x1 nn set threads 1", "blis 0x1x1 nn set threads 1", "blis 1x1x1 nn set threads 0",
          "blis 1x1x1 nn set threads 1 more", "blis 1x1 nn set threads 1", "blis 1x1x1 xx set threads 1"})
        EXPECT_FALSE(from_line(line, none)) << line;
}

// What was kept holds for products that would not be timed, too.
TEST(Gemm, ASmallProductGoesTheKeptWay) {
    use_gemm_choices({{{7, 5, 33, true, false, true}, omp_get_max_threads(), GemmWay::sgemm}});
    const GemmTuning tuning;
    weight_gradient(33, 5, 7);
    weight_gradient(34, 5, 7);
    int kept = 0, usual = 0;
    for (const GemmChoice& c : gemm_choices()) {
        kept += c.shape.m == 7 && c.shape.k == 33 && c.way == GemmWay::sgemm;
        usual += c.shape.m == 7 && c.shape.k == 34 && c.way == GemmWay::matmul;
    }
    EXPECT_EQ(kept, 1);
    EXPECT_EQ(usual, 1);
}

TEST(Gemm, AChoiceIsTimedOnceAndKeptByTheMachine) {
    const Folder folder;
    setenv("SLUICE_CACHE", folder.path().c_str(), 1);
    const auto kept = [&] {
        std::ifstream file(folder.path() / ("gemm-" + gemm_machine() + ".txt"));
        return std::string(std::istreambuf_iterator<char>(file), {});
    };
    weight_gradient(4200, 96, 96);
    EXPECT_EQ(kept(), "");  // nobody wanted it timed
    {
        const GemmTuning tuning;
        weight_gradient(4200, 96, 96);
        const std::string first = kept();
        GemmChoice choice{};
        ASSERT_TRUE(from_line(first.substr(0, first.find('\n')), choice)) << first;
        EXPECT_EQ(choice.shape.k, 4200);

        // What another process found, beside lines that a crash or an editor left.
        std::ofstream(folder.path() / ("gemm-" + gemm_machine() + ".txt"))
            << "onednn_slabs 96x96x4300 tn add threads " << omp_get_max_threads() << "\nrubbish\n"
            << first;
        weight_gradient(4300, 96, 96);
        bool taken = false;
        for (const GemmChoice& c : gemm_choices()) taken |= c.shape.k == 4300 && c.way == GemmWay::slabs;
        EXPECT_TRUE(taken);
    }
    // Locked by somebody or not to be written: what is there is read all the same.
    std::ofstream(folder.path() / ("gemm-" + gemm_machine() + ".txt"), std::ios::app)
        << "blis 96x96x4500 tn add threads " << omp_get_max_threads() << "\n";
    const int held = ::open((folder.path() / ("gemm-" + gemm_machine() + ".txt.lock")).c_str(), O_RDWR);
    ASSERT_EQ(::flock(held, LOCK_EX), 0);
    {
        const GemmTuning wanted;
        weight_gradient(4500, 96, 96);
        bool taken = false;
        for (const GemmChoice& c : gemm_choices()) taken |= c.shape.k == 4500 && c.way == GemmWay::blis;
        EXPECT_TRUE(taken);
    }
    ::close(held);
    setenv("SLUICE_CACHE", "/proc/none", 1);  // nowhere to keep it: not timed, and as good
    const GemmTuning tuning;
    weight_gradient(4400, 96, 96);
    for (const GemmChoice& c : gemm_choices()) EXPECT_TRUE(c.shape.k != 4400 || c.way == GemmWay::matmul);
    unsetenv("SLUICE_CACHE");
}

}  // namespace
}  // namespace sluice
