// What every numeric test shares: inputs, derivatives by differences, and the one tolerance a type has.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/bf16.h"
#include "support/sanitizers.h"

namespace sluice {

// Smooth, sign-changing, not periodic in any shape used here.
inline std::vector<double> noise(size_t count, int seed) {
    std::vector<double> v(count);
    for (size_t i = 0; i < count; i++) v[i] = std::sin(0.7 * i + seed) + 0.3 * std::cos(2.3 * i * (seed + 1));
    return v;
}

template <class To, class From>
std::vector<To> cast(const std::vector<From>& v) {
    return std::vector<To>(v.begin(), v.end());
}

// Norm of the difference over norm of the reference (of the difference alone where the reference is
// zero but for rounding).
template <class X, class Y>
double relative_error(const std::vector<X>& x, const std::vector<Y>& reference) {
    if (x.size() != reference.size()) return INFINITY;
    double diff = 0, norm = 0;
    for (size_t i = 0; i < x.size(); i++) {
        diff += (double(x[i]) - double(reference[i])) * (double(x[i]) - double(reference[i]));
        norm += double(reference[i]) * double(reference[i]);
    }
    return norm > 1e-24 ? std::sqrt(diff / norm) : std::sqrt(diff);
}

// A tensor as at most `most` sums of its elements with random signs. Every element is in one of them, so that a wrong
// element is a wrong sum. Up to `most` elements each stand for themselves.
class Groups {
 public:
    explicit Groups(size_t count, size_t most = kSanitized ? 8 : 128) : count_(count), groups_(std::min(count, most)) {}

    // The sums over sqrt(elements of the group): what `gradient` (count) is along unit vectors.
    std::vector<double> along(const double* gradient) const {
        std::vector<double> sums(groups_);
        for (size_t i = 0; i < count_; i++) sums[i % groups_] += unit(i) * gradient[i];
        return sums;
    }
    // The same of the gradient of loss by x (count), by fourth-order central differences.
    std::vector<double> central_difference(const std::function<double()>& loss, double* x, double h = 1e-3) const {
        const std::vector<double> x0(x, x + count_);
        std::vector<double> slope(groups_);
        for (size_t g = 0; g < groups_; g++) {
            const auto move = [&](double step) {
                for (size_t i = g; i < count_; i += groups_) x[i] = x0[i] + step * unit(i);
            };
            const auto at = [&](double step) { return move(step), loss(); };
            slope[g] = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
            move(0);
        }
        return slope;
    }

 private:
    double unit(size_t i) const {
        if (count_ == groups_) return 1;
        const size_t in_group = (count_ - i % groups_ + groups_ - 1) / groups_;
        return ((i * 0x9E3779B97F4A7C15u >> 40 & 1) != 0 ? 1 : -1) / std::sqrt(double(in_group));
    }
    size_t count_, groups_;
};

template <class T>
constexpr double tolerance();
template <>
constexpr double tolerance<double>() {
    return 1e-8;
}
template <>
constexpr double tolerance<float>() {
    return 5e-6;
}
template <>
constexpr double tolerance<bf16>() {  // a row at a time
    return 1.0 / 128;
}

// The error of a gradient (count) of loss by x, against differences at several steps: a small one stays clear of kinks
// (clip, ReLU, top-k), a large one of rounding. Each group counts at the step it agrees with best; a wrong gradient
// agrees with none.
inline double error_against_differences(const std::function<double()>& loss, double* x, const double* gradient,
                                        size_t count) {
    const Groups groups(count, kSanitized ? 4 : 16);
    const auto expected = groups.along(gradient);
    std::vector<double> best(expected.size(), INFINITY);
    for (const double h : {1e-3, 3e-4, 1e-4, 2e-3, 3e-5}) {
        const auto slopes = groups.central_difference(loss, x, h);
        for (size_t g = 0; g < best.size(); g++)
            if (std::abs(slopes[g] - expected[g]) < std::abs(best[g] - expected[g])) best[g] = slopes[g];
        if (relative_error(expected, best) < tolerance<double>()) break;
    }
    return relative_error(expected, best);
}

// The largest relative error of a row.
template <class X, class Y>
double relative_error_of_rows(const std::vector<X>& x, const std::vector<Y>& reference, int64_t rows) {
    const auto row = [&](const auto& v, int64_t r) {
        const auto width = int64_t(v.size()) / rows;
        return std::vector(v.begin() + r * width, v.begin() + (r + 1) * width);
    };
    double worst = 0;
    for (int64_t r = 0; r < rows; r++) worst = std::max(worst, relative_error(row(x, r), row(reference, r)));
    return worst;
}

}  // namespace sluice
