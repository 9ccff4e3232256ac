// Every algorithm of a GEMM on a CPU against the definition; its choices as text, kept by machine, used again.
#include "kernels/cpu/gemm/gemm.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <omp.h>
#include <sys/file.h>
#include <unistd.h>

#include <bit>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include "base/machine.h"
#include "base/rng.h"
#include "kernels/autotune.h"
#include "kernels/capability.h"
#include "kernels/cpu/gemm/autotune.h"
#include "kernels/cpu/gemm/cache_file.h"
#include "kernels/cpu/gemm/choice.h"
#include "kernels/ops.h"
#include "support/folder.h"
#include "support/oracle.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr GemmAlgorithm kAlgorithms[] = {GemmAlgorithm::onednn_matmul, GemmAlgorithm::onednn_sgemm,
                                         GemmAlgorithm::onednn_split_k, GemmAlgorithm::blis};

// From here on GEMMs of this shape go by this algorithm.
void use(const GemmShape& shape, int threads, GemmAlgorithm algorithm) {
    import_autotune({gemm_machine(), {to_line(key_of(shape, threads), algorithm)}});
}
// Whether this process has that choice.
bool uses(const GemmShape& shape, GemmAlgorithm algorithm, int threads = omp_get_max_threads()) {
    for (const AutotuneSection& section : export_autotune())
        if (section.machine == gemm_machine())
            return section.lines.count(to_line(key_of(shape, threads), algorithm)) > 0;
    return false;
}

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

TEST(Gemm, EveryAlgorithmEqualsTheDefinition) {
    const int64_t in = 144, out = 80, rows = 5000;  // three slabs of split-K, the last a short one; worth timing
    const auto dy = noise(size_t(rows * out), 1), x = noise(size_t(rows * in), 2), w = noise(size_t(in * out), 3);
    std::vector<double> y(size_t(rows * out)), dx(size_t(rows * in), 1.0), dw(size_t(in * out), 1.0);
    linear_forward<Cpu<double>>({}, y.data(), x.data(), w.data(), rows, in, out);
    linear_backward_input<Cpu<double>>({}, dx.data(), dy.data(), w.data(), rows, in, out, Into::add);
    linear_backward_weight<Cpu<double>>({}, dw.data(), dy.data(), x.data(), rows, in, out);
    const auto xf = cast<float>(x), wf = cast<float>(w), dyf = cast<float>(dy);
    for (int threads = 1; const GemmAlgorithm algorithm : kAlgorithms) {
        SCOPED_TRACE(enum_name(algorithm));
        omp_set_num_threads(++threads);  // so that no GEMM is one that was prepared before
        use(GemmShape::nt(rows, out, in), threads, algorithm);
        use(GemmShape::nn(rows, in, out).accumulating(), threads, algorithm);
        use(GemmShape::tn(out, in, rows).accumulating(), threads, algorithm);
        std::vector<float> yf(y.size()), dxf(dx.size(), 1.0f), dwf(dw.size(), 1.0f);
        linear_forward<Cpu<float>>({}, yf.data(), xf.data(), wf.data(), rows, in, out);
        linear_backward_input<Cpu<float>>({}, dxf.data(), dyf.data(), wf.data(), rows, in, out, Into::add);
        linear_backward_weight<Cpu<float>>({}, dwf.data(), dyf.data(), xf.data(), rows, in, out);
        EXPECT_LT(relative_error(yf, y), tolerance<float>());
        EXPECT_LT(relative_error(dxf, dx), tolerance<float>());
        EXPECT_LT(relative_error(dwf, dw), tolerance<float>());
        EXPECT_TRUE(uses(GemmShape::tn(out, in, rows).accumulating(), algorithm));
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
        EXPECT_EQ(float(bf16(x)), expected) << x;
    EXPECT_TRUE(std::isnan(float(bf16(std::bit_cast<float>(0x7f800001)))));  // whose upper half is infinity
}

// A layer's T(1) or sum must mean in bf16 what it means in float.
TEST(Bf16, IsANumberLikeFloat) {
    EXPECT_EQ(bf16(1), 1.0f);
    EXPECT_EQ(bf16(0.02), bf16(0.02f));
    EXPECT_EQ(bf16(-3) * bf16(0.5f) + 1, -0.5f);
    EXPECT_TRUE(bf16(2) > bf16(1.5f));
    constexpr bf16 kHalf(0.5f);  // not a matter of the machine's rounding mode
    static_assert(kHalf == 0.5f && std::is_trivially_copyable_v<bf16>);
    EXPECT_EQ(std::bit_cast<uint16_t>(bf16(1)), 0x3f80);
}

TEST(Bf16, ProductsAreTheDefinitionsToItsPrecision) {
    if (!multiplies_bf16(processor())) GTEST_SKIP() << "this processor has no AVX512-BF16";
    const int64_t in = 72, out = 40;
    for (const int64_t rows : {1, 63, 130, 300}) {
        const auto dy = normals(size_t(rows * out), 1), x = normals(size_t(rows * in), 2),
                   w = normals(size_t(2 * in * out), 3);
        const auto rounded = [](const std::vector<double>& v) {
            std::vector<double> r;
            for (double value : v) r.push_back(float(bf16(float(value))));
            return r;
        };
        const int64_t offsets[] = {0, rows / 3, rows};
        const GroupedShape groups{offsets, rows, 2, in, out};
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
    for (const GemmAlgorithm algorithm : kAlgorithms)
        for (const bool flag : {false, true}) {
            const GemmKey key{{4096, 384, 1 << 20, flag, !flag, flag, MatmulPrecision::full, flag}, 64};
            GemmChoices back;
            ASSERT_TRUE(add_line(back, to_line(key, algorithm))) << to_line(key, algorithm);
            EXPECT_EQ(back, (GemmChoices{{key, algorithm}}));
        }
    // As files and checkpoints have them.
    EXPECT_EQ(to_line(key_of(GemmShape::nt(4096, 384, 1024), 2), GemmAlgorithm::onednn_sgemm),
              "onednn_sgemm 4096x384x1024 nt set threads 2");
    EXPECT_EQ(to_line(key_of(GemmShape::tn(96, 80, 5000).accumulating().with_ragged_rows(), 4), GemmAlgorithm::blis),
              "blis 96x80x8192 tn add ragged threads 4");
    EXPECT_EQ(to_line(key_of(GemmShape::nn(65, 80, 5000).with_ragged_rows(), 1), GemmAlgorithm::onednn_split_k),
              "onednn_slabs 128x80x5000 nn set ragged threads 1");
    GemmChoices none;
    for (const char* line :
         {"", "blis", "mkl 1x1x1 nn set threads 1", "blis 0x1x1 nn set threads 1", "blis 1x1x1 nn set threads 0",
          "blis 1x1x1 nn set threads 1 more", "blis 1x1 nn set threads 1", "blis 1x1x1 xx set threads 1"})
        EXPECT_FALSE(add_line(none, line)) << line;
    EXPECT_TRUE(none.empty());
}

// What was kept holds for GEMMs that would not be timed, too.
TEST(Gemm, ASmallOneUsesTheKeptAlgorithm) {
    const auto gradient = [](int64_t rows) { return GemmShape::tn(7, 5, rows).accumulating(); };
    use(gradient(33), omp_get_max_threads(), GemmAlgorithm::onednn_sgemm);
    const AutotuneScope autotuning;
    weight_gradient(33, 5, 7);
    weight_gradient(34, 5, 7);
    EXPECT_TRUE(uses(gradient(33), GemmAlgorithm::onednn_sgemm));
    EXPECT_FALSE(uses(gradient(33), GemmAlgorithm::onednn_matmul));
    EXPECT_TRUE(uses(gradient(34), GemmAlgorithm::onednn_matmul));
}

TEST(Gemm, AChoiceIsTimedOnceAndKeptByTheMachine) {
    const Folder folder;
    setenv("SLUICE_CACHE", folder.path().c_str(), 1);
    const fs::path cache = folder.path() / ("gemm-" + gemm_machine() + ".txt");
    const auto kept = [&] {
        std::ifstream file(cache);
        return std::string(std::istreambuf_iterator<char>(file), {});
    };
    const auto gradient = [](int64_t rows) { return GemmShape::tn(96, 96, rows).accumulating(); };
    weight_gradient(4200, 96, 96);
    EXPECT_EQ(kept(), "");  // outside of an AutotuneScope
    {
        const AutotuneScope autotuning;
        weight_gradient(4200, 96, 96);
        const std::string first = kept();
        GemmChoices choices;
        ASSERT_TRUE(add_line(choices, first.substr(0, first.find('\n')))) << first;
        EXPECT_EQ(choices.begin()->first.shape, gradient(4200));

        // What another process found, beside lines that a crash or an editor left.
        std::ofstream(cache) << "onednn_slabs 96x96x4300 tn add threads " << omp_get_max_threads() << "\nrubbish\n"
                             << first;
        weight_gradient(4300, 96, 96);
        EXPECT_TRUE(uses(gradient(4300), GemmAlgorithm::onednn_split_k));
    }
    // Locked by somebody or not to be written: what is there is read all the same.
    std::ofstream(cache, std::ios::app) << "blis 96x96x4500 tn add threads " << omp_get_max_threads() << "\n";
    const int held = ::open((cache.string() + ".lock").c_str(), O_RDWR);
    ASSERT_EQ(::flock(held, LOCK_EX), 0);
    {
        const AutotuneScope autotuning;
        weight_gradient(4500, 96, 96);
        EXPECT_TRUE(uses(gradient(4500), GemmAlgorithm::blis));
    }
    ::close(held);
    setenv("SLUICE_CACHE", "/proc/none", 1);  // nowhere to keep it: not timed, and as good
    const AutotuneScope autotuning;
    weight_gradient(4400, 96, 96);
    EXPECT_TRUE(uses(gradient(4400), GemmAlgorithm::onednn_matmul));
    unsetenv("SLUICE_CACHE");
}

// Timing finds nothing that the file did not have for another process: it looks again once it holds the lock.
TEST(Gemm, WhatAnotherProcessTimedMeanwhileIsUsed) {
    const Folder folder;
    setenv("SLUICE_CACHE", folder.path().c_str(), 1);
    const fs::path cache = folder.path() / ("gemm-" + gemm_machine() + ".txt");
    const int held = ::open((cache.string() + ".lock").c_str(), O_RDWR | O_CREAT, 0644);
    ASSERT_EQ(::flock(held, LOCK_EX), 0);
    GemmCacheFile file;
    std::thread other([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        std::ofstream(cache) << "blis 96x96x4600 tn add threads 1\n";
        ::close(held);
    });
    bool timed = false;
    const auto time = [&] { return timed = true, GemmAlgorithm::onednn_sgemm; };
    const auto found = file.find_or_time(key_of(GemmShape::tn(96, 96, 4600).accumulating(), 1), time);
    other.join();
    EXPECT_EQ(found, GemmAlgorithm::blis);
    EXPECT_FALSE(timed);
    // Where the file cannot be written, what is timed is not used, and nothing is timed again.
    EXPECT_EQ(file.find_or_time(key_of(GemmShape::tn(96, 96, 4700), 1), time), GemmAlgorithm::onednn_sgemm);
    EXPECT_TRUE(std::exchange(timed, false));
    setenv("SLUICE_CACHE", "/proc/none", 1);
    EXPECT_EQ(file.find_or_time(key_of(GemmShape::tn(96, 96, 4800), 1), time), std::nullopt);
    setenv("SLUICE_CACHE", folder.path().c_str(), 1);
    EXPECT_EQ(file.find_or_time(key_of(GemmShape::tn(96, 96, 4800), 1), time), std::nullopt);
    EXPECT_FALSE(timed);
    unsetenv("SLUICE_CACHE");
}

// A prepared GEMM asks for its choice until it has been called where it may be autotuned.
TEST(Gemm, AChoiceMayComeBeforeTrainingAsksForOne) {
    const GemmShape shape = GemmShape::tn(24, 16, 40).accumulating();
    weight_gradient(40, 16, 24);
    EXPECT_FALSE(uses(shape, GemmAlgorithm::onednn_matmul));
    use(shape, omp_get_max_threads(), GemmAlgorithm::blis);
    const auto by_blis = weight_gradient(40, 16, 24);
    const AutotuneScope autotuning;
    EXPECT_EQ(weight_gradient(40, 16, 24), by_blis);
    EXPECT_TRUE(uses(shape, GemmAlgorithm::blis));
    EXPECT_FALSE(uses(shape, GemmAlgorithm::onednn_matmul));
}

TEST(Capability, RatesOfEveryBackend) {
    Profile profile;
    profile.gemms[GemmShape::nt(64, 64, 64)] = 2;
    profile.gemms[GemmShape::tn(64, 32, 64).accumulating().with_ragged_rows()] = 1;
    EXPECT_GT(gemm_rate<Cpu<float>>(profile), 0);
    EXPECT_GT(gemm_rate<Cpu<double>>(profile), 0);
    EXPECT_GT(gemm_rate<Cpu<float>>(MatmulPrecision::full, 1), 0);
    EXPECT_NO_THROW(require_matmul<Cpu<float>>(MatmulPrecision::full));
    if (multiplies_bf16(processor())) { EXPECT_GT(gemm_rate<Cpu<float>>(MatmulPrecision::bf16, 1), 0); }
}

}  // namespace
}  // namespace sluice
