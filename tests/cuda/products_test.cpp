// Products by cuBLASLt: what they compute, and how an algorithm is chosen and kept.
#include "kernels/cuda/products.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <optional>

#include "base/check.h"
#include "kernels/autotune.h"
#include "kernels/cuda/product_plan.h"
#include "kernels/replay.h"
#include "support/folder.h"
#include "support/sanitizers.h"
#include "tests/emu/on_device.h"

namespace sluice {
namespace {

// A product of given sizes: rows of each matrix are `more` elements longer than they need be, and the matrices that
// `shifted` names begin `shift` elements behind an aligned address.
struct Shape {
    int64_t m, n, depth;
    bool a_transposed = false, b_transposed = false;
    int64_t more = 0, shift = 0;
    std::string shifted = "abcd";  // d: the base, where it is another matrix than c
};
std::string text(const Shape& s) {
    return std::to_string(s.m) + " x " + std::to_string(s.n) + " x " + std::to_string(s.depth) +
           (s.a_transposed ? " t" : " n") + (s.b_transposed ? "t" : "n") + ", " + std::to_string(s.more) + " more, " +
           std::to_string(s.shift) + " shifted";
}

template <class X>
std::vector<X> numbers(int64_t count, int seed) {
    std::vector<X> v;
    v.reserve(size_t(count));
    for (int64_t i = 0; i < count; i++) v.push_back(X(float((i * i + seed * (i + 71)) % 1009 - 504) / 504));
    return v;
}

enum class Base { none, in_place, another };

template <class T, class Y>
class Problem {
 public:
    Problem(const Shape& s, Base base, float scale = 1, float base_scale = 1)
        : s_(s), base_(base), scale_(scale), base_scale_(base_scale) {}

    Product product() const {
        Y* const c = c_.data() + shift('c');
        return {.m = s_.m,
                .n = s_.n,
                .depth = s_.depth,
                .element = kElement<T>,
                .result = kElement<Y>,
                .a = {a_.data() + shift('a'), a_stride(), s_.a_transposed},
                .b = {b_.data() + shift('b'), b_stride(), s_.b_transposed},
                .c = c,
                .base = base_ == Base::none       ? nullptr
                        : base_ == Base::in_place ? c
                                                  : base_data_.data() + shift('d'),
                .stride = c_stride(),
                .scale = scale_,
                .base_scale = base_scale_};
    }
    std::vector<Y> result(Stream stream) const { return c_.values(stream); }

    // Norm of the difference to sums in double over their norm. What is not c's must be as it was.
    double error(Stream stream) const {
        const std::vector<Y> got = result(stream);
        const auto at = [](const auto& v, int64_t i) { return double(float(v[size_t(i)])); };
        double difference = 0, norm = 0;
        for (int64_t i = 0; i < int64_t(got.size()); i++) {
            const int64_t element = i - shift('c'), row = element / c_stride(), column = element - row * c_stride();
            double want = at(host_c_, i);
            if (element >= 0 && row < s_.m && column < s_.n) {
                double sum = 0;
                for (int64_t l = 0; l < s_.depth; l++)
                    sum +=
                        at(host_a_, shift('a') + (s_.a_transposed ? l * a_stride() + row : row * a_stride() + l)) *
                        at(host_b_, shift('b') + (s_.b_transposed ? l * b_stride() + column : column * b_stride() + l));
                const double old = base_ == Base::none       ? 0
                                   : base_ == Base::in_place ? want
                                                             : at(host_base_, shift('d') + element);
                want = scale_ * sum + base_scale_ * old;
            } else if (at(got, i) != want) {
                ADD_FAILURE() << "element " << i << ", which is not of the result, has changed";
            }
            difference += (at(got, i) - want) * (at(got, i) - want);
            norm += want * want;
        }
        return std::sqrt(difference / norm);
    }

 private:
    int64_t a_stride() const { return (s_.a_transposed ? s_.m : s_.depth) + s_.more; }
    int64_t b_stride() const { return (s_.b_transposed ? s_.n : s_.depth) + s_.more; }
    int64_t c_stride() const { return s_.n + s_.more; }
    int64_t shift(char matrix) const { return s_.shifted.find(matrix) == std::string::npos ? 0 : s_.shift; }
    int64_t room(int64_t rows, int64_t stride) const { return rows * stride + s_.shift; }

    Shape s_;
    Base base_;
    float scale_, base_scale_;
    std::vector<T> host_a_ = numbers<T>(room(s_.a_transposed ? s_.depth : s_.m, a_stride()), 1);
    std::vector<T> host_b_ = numbers<T>(room(s_.b_transposed ? s_.depth : s_.n, b_stride()), 2);
    std::vector<Y> host_c_ = numbers<Y>(room(s_.m, c_stride()), 3), host_base_ = numbers<Y>(room(s_.m, c_stride()), 4);
    OnDevice<T> a_{host_a_}, b_{host_b_};
    OnDevice<Y> c_{host_c_}, base_data_{host_base_};
};

// Choices go to a folder of the test's own. Every test has shapes of its own, as the process keeps choices.
class Products : public Emulator {
 protected:
    Products() { setenv("SLUICE_CACHE", folder_.path().c_str(), 1); }
    ~Products() override { unsetenv("SLUICE_CACHE"); }

    template <class T, class Y>
    std::vector<Y> multiply(const Shape& shape, Base base = Base::none) const {
        const Problem<T, Y> problem(shape, base);
        EXPECT_TRUE(multiply_by_library(stream(), problem.product()));
        return problem.result(stream());
    }
    static AutotuneSection section() {
        for (const AutotuneSection& section : export_autotune())
            if (section.machine.starts_with("cublaslt-")) return section;
        ADD_FAILURE() << "cuBLASLt has no section";
        return {};
    }
    template <class T, class Y>
    static std::string key(const Shape& shape, Base base) {
        return to_text(key_of(Problem<T, Y>(shape, base).product()));
    }
    // The algorithm of each line that is of the shape.
    static std::vector<cublasLtMatmulAlgo_t> chosen(const std::string& key, const std::set<std::string>& lines) {
        std::vector<cublasLtMatmulAlgo_t> all;
        for (const std::string& line : lines)
            if (const auto choice = parse_choice(line); choice && choice->key == key) all.push_back(choice->algorithm);
        return all;
    }
    static int id_of(const cublasLtMatmulAlgo_t& algorithm) {
        int32_t id = -1;
        size_t written = 0;
        EXPECT_EQ(cublasLtMatmulAlgoConfigGetAttribute(&algorithm, CUBLASLT_ALGO_CONFIG_ID, &id, sizeof id, &written),
                  CUBLAS_STATUS_SUCCESS);
        return id;
    }
    // The number of the algorithm that the process has for the product, or -1.
    static int chosen_id(const Product& product) {
        const auto all = chosen(to_text(key_of(product)), section().lines);
        EXPECT_LE(all.size(), 1u);
        return all.empty() ? -1 : id_of(all[0]);
    }
    template <class T, class Y>
    static int chosen_id(const Shape& shape) {
        return chosen_id(Problem<T, Y>(shape, Base::none).product());
    }
    // A line by which the shape is multiplied by that algorithm.
    template <class T, class Y>
    std::string line_with(const Shape& shape, int id) const {
        const ProductKey key = key_of(Problem<T, Y>(shape, Base::none).product());
        for (const auto& algorithm : ProductPlan(key).candidates(*static_cast<ProductLibrary*>(stream().products)))
            if (id_of(algorithm) == id) return to_line(to_text(key), algorithm);
        ADD_FAILURE() << "no algorithm " << id;
        return "";
    }
    std::set<std::string> file() const {
        std::set<std::string> lines;
        std::ifstream in(folder_ / (section().machine + ".txt"));
        for (std::string line; std::getline(in, line);) lines.insert(line);
        return lines;
    }

    const Folder folder_;
};

// ---------------------------------------------------------------- what they compute
template <class T, class Y>
void expect_products(Stream stream, double tolerance) {
    const Shape sizes[] = {{1, 1, 1}, {3, 1, 33}, {70, 33, 8}, {8, 100, 130}, {64, 48, 96}};
    for (const Shape& size : sizes)
        for (const bool a : {false, true})
            for (const bool b : {false, true})
                for (const auto [more, shift] : {std::array<int64_t, 2>{0, 0}, {8, 0}, {0, 1}, {5, 2}})
                    for (const auto base : {Base::none, Base::in_place, Base::another}) {
                        if (kSanitized && base == Base::another && shift) continue;
                        const Shape shape{size.m, size.n, size.depth, a, b, more, shift};
                        SCOPED_TRACE(text(shape) + ", base " + std::to_string(int(base)));
                        const Problem<T, Y> problem(shape, base, base == Base::another ? -1.5f : 1,
                                                    base == Base::another ? 0.25f : 1);
                        ASSERT_TRUE(multiply_by_library(stream, problem.product()));
                        EXPECT_LE(problem.error(stream), tolerance);
                    }
}
TEST_F(Products, OfFloat) { expect_products<float, float>(stream(), 5e-6); }
TEST_F(Products, OfBf16ToFloat) { expect_products<bf16, float>(stream(), 5e-6); }
TEST_F(Products, OfBf16) { expect_products<bf16, bf16>(stream(), 0x1p-7); }

// One matrix that is less aligned than the others is enough to rule an algorithm out.
TEST_F(Products, OfMatricesThatAreAlignedUnlike) {
    for (const char* shifted : {"a", "b", "c", "d"}) {
        const Problem<float, float> problem({16, 24, 64, false, false, 0, 1, shifted}, Base::another, 1, 2);
        const ProductKey key = key_of(problem.product());
        const std::string alignments = std::to_string(key.a_alignment) + " " + std::to_string(key.b_alignment) + " " +
                                       std::to_string(key.c_alignment);
        EXPECT_EQ(alignments, *shifted == 'a' ? "4 16 16" : *shifted == 'b' ? "16 4 16" : "16 16 4");
        ASSERT_TRUE(multiply_by_library(stream(), problem.product())) << shifted;
        EXPECT_LE(problem.error(stream()), 5e-6) << shifted;
    }
}

// Sums are float, however the algorithm splits them: among many numbers that add up to nothing, a little one counts.
TEST_F(Products, OfEveryChoiceAreSumsInFloat) {
    const Shape shape{16, 16, 512};
    const AutotuneScope autotuning;
    for (int id = 0; id < 12; id++) {
        import_autotune({section().machine, {line_with<bf16, bf16>(shape, id)}});
        const Problem<bf16, bf16> problem(shape, Base::none);
        ASSERT_TRUE(multiply_by_library(stream(), problem.product()));
        EXPECT_LE(problem.error(stream()), 0x1p-8) << id;
        EXPECT_EQ((chosen_id<bf16, bf16>(shape)), id);
    }
}

TEST_F(Products, RepeatTheirBits) {
    const Shape shape{40, 24, 136};
    const auto first = multiply<bf16, float>(shape, Base::in_place);
    for (const auto order : {emu::Order::forward, emu::Order::reverse, emu::Order::seeded}) {
        emu::options().order = order;
        EXPECT_EQ((multiply<bf16, float>(shape, Base::in_place)), first);
    }
}

// ---------------------------------------------------------------- how an algorithm is chosen
TEST_F(Products, OnlyTrainingTimesAndKeeps) {
    const Shape shape{48, 40, 256};
    emu::options().fastest = 4;
    const auto fixed = multiply<float, float>(shape);
    EXPECT_EQ((chosen_id<float, float>(shape)), -1);
    EXPECT_TRUE(file().empty());
    const AutotuneScope autotuning;
    const auto timed = multiply<float, float>(shape);
    EXPECT_EQ((chosen_id<float, float>(shape)), 4);
    EXPECT_NE(timed, fixed);
    // It stays, whatever is the fastest by now, and serves outside of training too.
    emu::options().fastest = 1;
    EXPECT_EQ((multiply<float, float>(shape)), timed);
    EXPECT_EQ((chosen_id<float, float>(shape)), 4);
    const auto kept = chosen(key<float, float>(shape, Base::none), file());
    ASSERT_EQ(kept.size(), 1u);
    EXPECT_EQ(id_of(kept[0]), 4);
}

// A timing waits for the device, which what is captured may not: the fixed choice serves, and a later call times.
TEST_F(Products, NothingIsTimedWhileItIsCaptured) {
    const Shape shape{48, 40, 264};
    emu::options().fastest = 4;
    const auto fixed = multiply<float, float>(shape);
    const Problem<float, float> problem(shape, Base::none);
    const AutotuneScope autotuning;
    Replay<Cuda<float>> replay("product");
    for (const bool captured : {false, true})  // nothing is queued, and so nothing chosen, before
        replay.run(stream(), [&] {
            if (captured) { EXPECT_TRUE(multiply_by_library(stream(), problem.product())); }
        });
    EXPECT_EQ(problem.result(stream()), fixed);
    EXPECT_EQ((chosen_id<float, float>(shape)), -1);
    EXPECT_NE((multiply<float, float>(shape)), fixed);
    EXPECT_EQ((chosen_id<float, float>(shape)), 4);
}

// Each algorithm is slow as it first runs: that time does not count.
TEST_F(Products, TheFirstRunOfAnAlgorithmDoesNotCount) {
    const AutotuneScope autotuning;
    for (int id = 0; id < 12; id++) {
        const Shape shape{48, 40, 512 + 8 * id};
        emu::options().fastest = id;
        multiply<float, float>(shape);
        EXPECT_EQ((chosen_id<float, float>(shape)), id);
    }
}

// Shapes differ by all that an algorithm may depend on.
TEST_F(Products, EveryKindHasItsChoice) {
    const AutotuneScope autotuning;
    const size_t before = section().lines.size();
    const auto once = [&](const Shape& shape, Base base) {
        multiply<bf16, float>(shape, base);
        multiply<bf16, float>(shape, base);
    };
    const Shape plain{56, 32, 72};
    once(plain, Base::none);
    once(plain, Base::in_place);
    once(plain, Base::another);
    once({56, 32, 72, true, false}, Base::none);
    once({56, 32, 72, false, true}, Base::none);
    once({56, 32, 72, false, false, 8}, Base::none);
    once({56, 32, 72, false, false, 0, 4}, Base::none);
    once({56, 32, 72, false, false, 0, 12}, Base::none);  // aligned alike
    multiply<bf16, bf16>(plain);
    multiply<float, float>(plain);
    EXPECT_EQ(section().lines.size(), before + 9);
}

// Timing adds to the gradient no more than the product itself, in the stream's scratch memory and where that does not
// suffice.
TEST_F(Products, TimingLeavesAGradientAlone) {
    const int64_t allocations = emu::allocations();
    for (const Shape& shape : {Shape{24, 32, 80, true, true}, Shape{2900, 2900, 1, true, true}}) {
        const Problem<bf16, float> problem(shape, Base::in_place);
        const int64_t before = emu::allocations();
        const AutotuneScope autotuning;
        ASSERT_TRUE(multiply_by_library(stream(), problem.product()));
        const bool large = shape.m * shape.n * 4 > int64_t(stream().scratch_bytes);
        EXPECT_EQ(emu::allocations() - before, large ? 1 : 0);
        EXPECT_LE(problem.error(stream()), 5e-6) << text(shape);
        EXPECT_GE(chosen_id(problem.product()), 0);
    }
    EXPECT_GT(emu::allocations(), allocations);
}

// Where there is no memory to time a gradient in, the fixed choice serves; the machine's file does not keep it.
TEST_F(Products, WithoutMemoryNothingIsTimed) {
    const Shape shape{2900, 2901, 1, true, true};
    const Problem<bf16, float> problem(shape, Base::in_place);
    Memory& of_device = memory_of<Cuda<float>>();
    emu::options().device_bytes = of_device.room(1).total - of_device.room(1).free + (1 << 20);
    const AutotuneScope autotuning;
    ASSERT_TRUE(multiply_by_library(stream(), problem.product()));
    EXPECT_LE(problem.error(stream()), 5e-6);
    EXPECT_GE(chosen_id(problem.product()), 0);
    EXPECT_TRUE(file().empty());
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

// ---------------------------------------------------------------- how it is kept
TEST_F(Products, ChoicesAreLines) {
    const ProductKey key{.m = 4096,
                         .n = 1024,
                         .depth = 768,
                         .a_stride = 768,
                         .b_stride = 1032,
                         .c_stride = 1024,
                         .a_transposed = false,
                         .b_transposed = true,
                         .element = Element::bf16,
                         .result = Element::fp32,
                         .into = ProductKey::Into::add,
                         .a_alignment = 16,
                         .b_alignment = 2,
                         .c_alignment = 4};
    cublasLtMatmulAlgo_t algorithm;
    for (uint64_t i = 0; i < 8; i++) algorithm.data[i] = 0x0123456789abcdef + i;
    const std::string line = to_line(to_text(key), algorithm);
    EXPECT_EQ(line.substr(0, line.find(" = ")), "4096x1024x768 nt bf16 fp32 add strides 768 1032 1024 aligned 16 2 4");
    EXPECT_EQ(line.substr(line.find(" = "), 19), " = efcdab8967452301");
    const auto back = parse_choice(line);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->key, to_text(key));
    EXPECT_EQ(std::memcmp(&back->algorithm, &algorithm, sizeof algorithm), 0);
    for (const std::string& bad : {std::string(), std::string("rubbish"), line.substr(0, line.size() - 1), line + "0",
                                   line.substr(line.find(" = ")), line.substr(0, line.size() - 1) + "g",
                                   line.substr(0, line.size() - 2) + "-1", line.substr(0, line.find(" = "))})
        EXPECT_FALSE(parse_choice(bad)) << bad;
}

TEST_F(Products, TheMachineIsDeviceLibraryAndWorkspace) {
    const std::string machine = section().machine;
    EXPECT_EQ(machine.size(), std::string("cublaslt-").size() + 16) << machine;
    EXPECT_EQ(section().machine, machine);
}

TEST_F(Products, ImportedChoicesAreUsedBeforeAnyOther) {
    const Shape shape{72, 40, 304};
    emu::options().fastest = 2;
    const auto fixed = multiply<float, float>(shape);
    const std::string good = line_with<float, float>(shape, 9);
    import_autotune({section().machine, {good, "rubbish", ""}});
    const auto imported = multiply<float, float>(shape);
    EXPECT_NE(imported, fixed);
    EXPECT_EQ((chosen_id<float, float>(shape)), 9);
    EXPECT_TRUE(section().lines.contains(good));
    EXPECT_FALSE(section().lines.contains("rubbish"));
    const AutotuneScope autotuning;
    EXPECT_EQ((multiply<float, float>(shape)), imported);
    EXPECT_TRUE(file().empty());
    // Those of another machine are nobody's.
    import_autotune({"cublaslt-0123456789abcdef", {line_with<float, float>(shape, 3)}});
    EXPECT_EQ((multiply<float, float>(shape)), imported);
    import_autotune({section().machine, {line_with<float, float>(shape, 3)}});
    EXPECT_NE((multiply<float, float>(shape)), imported);
    EXPECT_EQ((chosen_id<float, float>(shape)), 3);
}

// An algorithm that the library does not know, or that rounds partial sums, is no choice.
TEST_F(Products, WhatTheLibraryRefusesIsIgnored) {
    const Shape shape{72, 48, 304}, other{72, 56, 304};
    const std::string of_shape = key<float, float>(shape, Base::none), of_other = key<float, float>(other, Base::none);
    cublasLtMatmulAlgo_t rubbish;
    std::memset(&rubbish, 0x5a, sizeof rubbish);
    // The stand-in's algorithm 20 rounds: a good one's bytes with that number.
    auto rounds = parse_choice(line_with<float, float>(other, 9))->algorithm;
    ASSERT_EQ(rounds.data[1], 9u);
    rounds.data[1] = 20;
    ASSERT_EQ(id_of(rounds), 20);
    const std::set<std::string> bad{to_line(of_shape, rubbish), to_line(of_other, rounds)};
    const auto fixed = multiply<float, float>(shape), fixed_other = multiply<float, float>(other);
    import_autotune({section().machine, bad});
    EXPECT_EQ((multiply<float, float>(shape)), fixed);
    EXPECT_EQ((multiply<float, float>(other)), fixed_other);
    for (const std::string& line : bad) EXPECT_FALSE(section().lines.contains(line));
    // Nor are they in the machine's file: timing finds another.
    std::ofstream out(folder_ / (section().machine + ".txt"));
    for (const std::string& line : bad) out << line << "\n";
    out.close();
    emu::options().fastest = 5;
    const AutotuneScope autotuning;
    multiply<float, float>(shape);
    multiply<float, float>(other);
    EXPECT_EQ((chosen_id<float, float>(shape)), 5);
    EXPECT_EQ((chosen_id<float, float>(other)), 5);
}

TEST_F(Products, TheFileOfTheMachineIsRead) {
    const Shape shape{80, 40, 304};
    std::ofstream(folder_ / (section().machine + ".txt")) << "rubbish\n" << line_with<float, float>(shape, 10) << "\n";
    emu::options().fastest = 5;
    multiply<float, float>(shape);
    EXPECT_EQ((chosen_id<float, float>(shape)), -1);
    const AutotuneScope autotuning;
    multiply<float, float>(shape);
    EXPECT_EQ((chosen_id<float, float>(shape)), 10);
}

TEST_F(Products, WhereNothingCanBeKeptTheFixedChoiceServes) {
    const Shape shape{88, 40, 304};
    const auto fixed = multiply<float, float>(shape);
    setenv("SLUICE_CACHE", "/proc/none", 1);
    emu::options().fastest = 5;
    const AutotuneScope autotuning;
    EXPECT_EQ((multiply<float, float>(shape)), fixed);
    EXPECT_GE((chosen_id<float, float>(shape)), 0);  // and is kept in checkpoints
}

// ---------------------------------------------------------------- what the library cannot do
TEST_F(Products, AKindWithoutAlgorithmIsToldOnce) {
    emu::options().products = emu::Products::none;
    testing::internal::CaptureStderr();
    for (const int64_t m : {9, 10, 11}) {
        const Problem<bf16, float> problem({m, 3, 4, true, true}, Base::another);
        const auto before = problem.result(stream());
        EXPECT_FALSE(multiply_by_library(stream(), problem.product()));
        EXPECT_EQ(problem.result(stream()), before);
    }
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(said,
              "warning: cuBLASLt has no algorithm for 9x3x4 tt bf16 fp32 base strides 9 3 3 aligned 16 16 16: our own "
              "kernels make it and its like, slower\n");
}

// Also where the heuristics named one.
TEST_F(Products, AnAlgorithmThatIsRefusedLeavesTheProductToUs) {
    const Problem<float, float> problem({9, 3, 4, true, true}, Base::another);
    EXPECT_TRUE(multiply_by_library(stream(), problem.product()));
    emu::options().products = emu::Products::none;
    EXPECT_FALSE(multiply_by_library(stream(), problem.product()));
}

TEST_F(Products, AStreamWithoutALibraryHasNone) {
    Stream none = stream();
    none.products = nullptr;
    EXPECT_FALSE(multiply_by_library(none, Problem<float, float>({9, 3, 4}, Base::none).product()));
}

TEST_F(Products, AnErrorNamesTheProduct) {
    const Problem<bf16, bf16> problem({9, 3, 5}, Base::none);
    emu::options().products = emu::Products::fail;
    try {
        multiply_by_library(stream(), problem.product());
        ADD_FAILURE() << "no error";
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.what(), std::string("cuBLASLt: 9x3x5 nn bf16 bf16 set strides 5 5 3 aligned 16 16 16: the "
                                              "execution failed"));
    }
}

}  // namespace
}  // namespace sluice
