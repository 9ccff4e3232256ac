// A test of one op: the same lines run on Cpu<double>, the reference, and on a backend under test, with the same
// inputs, and what they mark as results is compared.
//
//     hold<T>([&](auto& c) {
//         using B = typename std::remove_reference_t<decltype(c)>::Backend;
//         auto* y = c.T("y", rows, width);
//         rmsnorm_forward<B>(c.stream(), y, c.A("rstd", rows, 1), c.T("x", rows, width), c.T("w", 1, width), ...);
//         c.result("y");
//     });
//
// A tensor is known by its name, and begins with random numbers that depend on the name alone: outputs too, so that an
// element which an op leaves out, or adds to instead of overwriting, differs.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "base/bf16.h"
#include "cuda/orders.h"
#include "kernels/memory.h"
#include "kernels/probes.h"
#include "support/sanitizers.h"

namespace sluice {

// Norm of the difference over norm of the reference: of a tensor in float, of each row in bf16.
template <class T>
inline constexpr double kTolerance = std::is_same_v<T, bf16> ? 0x1p-7 : 5e-6;

struct Result {
    std::vector<double> values;
    int64_t rows, width;
    bool exact;        // integers: must be equal
    double tolerance;  // by the type that the result is stored as
};

// Whether products are our own, as where cuBLASLt has no algorithm for any.
inline bool products_in_tiles = false;

// Tested: the T of the backend under test, which inputs are rounded to. shift: elements by which each tensor begins
// after an address that is aligned to 256 bytes.
template <class B, class Tested>
class Case {
 public:
    using Backend = B;
    explicit Case(int64_t shift) : shift_(shift) {}
    ~Case() {
        for (auto& [name, t] : tensors_) memory_of<B>().free(t.base);
    }

    Stream stream() const {
        Stream stream = stream_.get();
        if (products_in_tiles) stream.products = nullptr;
        return stream;
    }
    // A tensor (rows, width) of the backend's T, A or G: normal numbers, times scale.
    typename B::T* T(const std::string& name, int64_t rows, int64_t width, double scale = 1) {
        return numbers<typename B::T, Tested>(name, rows, width, scale);
    }
    typename B::A* A(const std::string& name, int64_t rows, int64_t width, double scale = 1) {
        return numbers<typename B::A, float>(name, rows, width, scale);
    }
    typename B::G* G(const std::string& name, int64_t rows, int64_t width, double scale = 1) {
        return numbers<typename B::G, float>(name, rows, width, scale);
    }
    // Given values, as X: float and double values become the T, A or G that is asked for by `like`.
    template <class X>
    X* values(const std::string& name, const std::vector<X>& v) {
        return static_cast<X*>(put<X, X>(name, 1, int64_t(v.size()), std::is_integral_v<X>, v));
    }
    typename B::A* A_values(const std::string& name, const std::vector<double>& v) {
        return values(name, std::vector<typename B::A>(v.begin(), v.end()));
    }
    typename B::T* T_values(const std::string& name, const std::vector<double>& v) {
        std::vector<typename B::T> t;
        for (double x : v) t.push_back(rounded<typename B::T, Tested>(x));
        return values(name, t);
    }
    // A part of rows of a wider tensor: columns begin .. of (rows, stride).
    Rows<typename B::T> part(const std::string& name, int64_t rows, int64_t stride, int64_t begin) {
        return {T(name, rows, stride) + begin, stride};
    }

    // Marks a tensor, whole, as result.
    void result(const std::string& name) { results_.push_back(name); }
    std::map<std::string, Result> results() {
        memory_of<B>().wait(stream());
        std::map<std::string, Result> all;
        for (const std::string& name : results_) all[name] = tensors_.at(name).read(*this);
        return all;
    }

 private:
    struct Tensor {
        void *base, *data;
        Result (*reader)(Case&, const Tensor&);
        int64_t rows, width;
        Result read(Case& c) const { return reader(c, *this); }
    };

    template <class X, class Narrow>
    static X rounded(double x) {
        if constexpr (std::is_same_v<Narrow, bf16>)
            return X(float(bf16(float(x))));
        else if constexpr (std::is_same_v<Narrow, float>)
            return X(float(x));
        else
            return X(x);
    }
    template <class X, class Narrow>
    X* numbers(const std::string& name, int64_t rows, int64_t width, double scale) {
        if (const auto old = tensors_.find(name); old != tensors_.end()) return static_cast<X*>(old->second.data);
        std::mt19937_64 random(std::hash<std::string>{}(name));
        std::normal_distribution<double> normal;
        std::vector<X> v;
        for (int64_t i = 0; i < rows * width; i++) v.push_back(rounded<X, Narrow>(scale * normal(random)));
        return static_cast<X*>(put<X, Narrow>(name, rows, width, false, v));
    }
    template <class X, class Stored>
    void* put(const std::string& name, int64_t rows, int64_t width, bool, const std::vector<X>& v) {
        if (const auto old = tensors_.find(name); old != tensors_.end()) return old->second.data;
        Memory& memory = memory_of<B>();
        const size_t bytes = v.size() * sizeof(X);
        void* base = memory.allocate(bytes + size_t(shift_) * sizeof(X));
        void* data = static_cast<X*>(base) + shift_;
        memory.to_device(stream(), data, v.data(), bytes);
        const auto read = [](Case& c, const Tensor& t) {
            std::vector<X> host(size_t(t.rows * t.width));
            memory_of<B>().to_host(c.stream(), host.data(), t.data, host.size() * sizeof(X));
            memory_of<B>().wait(c.stream());
            Result r{{}, t.rows, t.width, std::is_integral_v<X>, kTolerance<Stored>};
            for (const X& x : host) r.values.push_back(double(x));
            return r;
        };
        tensors_[name] = {base, data, read, rows, width};
        return data;
    }

    int64_t shift_;
    StreamOwner<B> stream_;
    std::map<std::string, Tensor> tensors_;
    std::vector<std::string> results_;
};

// Distance of `got` from `want`, at most the tolerance where they agree.
inline double distance(const std::vector<double>& got, const std::vector<double>& want, int64_t begin, int64_t end) {
    double difference = 0, norm = 0;
    for (int64_t i = begin; i < end; i++) {
        const double g = got[size_t(i)], w = want[size_t(i)];
        if (g == w || (std::isnan(g) && std::isnan(w))) continue;  // infinities too
        difference += (g - w) * (g - w);
    }
    for (int64_t i = begin; i < end; i++)
        if (std::isfinite(want[size_t(i)])) norm += want[size_t(i)] * want[size_t(i)];
    return difference == 0 ? 0 : std::sqrt(difference / norm);
}
inline void expect_near(const std::string& name, const Result& got, const Result& want) {
    ASSERT_EQ(got.values.size(), want.values.size()) << name;
    if (got.exact) {
        EXPECT_EQ(got.values, want.values) << name;
        return;
    }
    const bool by_row = got.tolerance > 1e-3;
    const int64_t count = int64_t(got.values.size()), step = by_row ? got.width : count;
    for (int64_t at = 0; at < count; at += step)
        EXPECT_LE(distance(got.values, want.values, at, at + step), got.tolerance)
            << name << (by_row ? ", row " + std::to_string(at / step) : "");
}

// Sizes that break assumptions, and `more`: those at which what a test is of changes.
inline std::vector<int64_t> awkward_widths(const std::vector<int64_t>& more = {}) {
    std::vector<int64_t> all{1, 3, 8, 33, 100, 130};
    all.insert(all.end(), more.begin(), more.end());
    return all;
}
struct MatrixSize {
    int64_t rows, width;
};
inline std::vector<MatrixSize> awkward_sizes(const std::vector<MatrixSize>& more = {}) {
    std::vector<MatrixSize> all;
    for (const int64_t rows : {0, 1, 70, 257})
        for (const int64_t width : awkward_widths())
            if (!kSanitized || rows < 257 || width < 100) all.push_back({rows, width});
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

// f() twice: with products by cuBLASLt, and as where it has no algorithm for any.
template <class F>
void by_library_and_in_tiles(F f) {
    for (const bool in_tiles : {false, true}) {
        SCOPED_TRACE(in_tiles ? "in tiles" : "by the library");
        products_in_tiles = in_tiles;
        f();
    }
    products_in_tiles = false;
}

inline constexpr int kOrders = kSanitized ? 1 : 3;

// Runs f on the reference and on Cuda<T>: with aligned and unaligned tensors, in several orders of threads, which must
// all give the same bits.
template <class T, class F>
void hold(F f) {
    Case<Cpu<double>, T> reference(0);
    f(reference);
    const std::map<std::string, Result> want = reference.results();
    for (const int64_t shift : {0, 1}) {
        std::map<std::string, Result> first;
        for (int order = 0; order < kOrders; order++) {
            set_thread_order(order);
            Case<Cuda<T>, T> tested(shift);
            f(tested);
            const std::map<std::string, Result> got = tested.results();
            for (const auto& [name, result] : got) {
                SCOPED_TRACE(shift ? "unaligned" : "aligned");
                if (order == 0)
                    expect_near(name, result, want.at(name));
                else
                    EXPECT_TRUE(result.values.empty() || !std::memcmp(result.values.data(), first[name].values.data(),
                                                                      result.values.size() * sizeof(double)))
                        << name << " has other bits in thread order " << order;
            }
            if (order == 0) first = got;
        }
    }
    set_thread_order(0);
}

}  // namespace sluice
