#include "layers/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace sluice {
namespace {

// The channel pair, not rounded, that makes `turns` full turns over the length that the model was trained with.
double yarn_boundary(const RopeSpec& spec, int64_t dim, double turns) {
    return double(dim) * std::log(double(spec.original_length) / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(spec.theta));
}

// (dim / 2), in radians per token.
std::vector<double> frequencies(const RopeSpec& spec, int64_t dim) {
    std::vector<double> f(dim / 2);
    for (int64_t i = 0; i < dim / 2; i++) f[i] = std::pow(spec.theta, -2.0 * double(i) / double(dim));
    if (spec.scaling == Scaling::linear)
        for (double& x : f) x /= spec.factor;
    if (spec.scaling == Scaling::yarn) {
        constexpr double kBetaFast = 32, kBetaSlow = 1;
        const double low = std::max(std::floor(yarn_boundary(spec, dim, kBetaFast)), 0.0);
        double high = std::min(std::ceil(yarn_boundary(spec, dim, kBetaSlow)), double(dim - 1));
        if (low == high) high += 0.001;
        for (int64_t i = 0; i < dim / 2; i++) {
            const double stretched = std::clamp((double(i) - low) / (high - low), 0.0, 1.0);
            f[i] = f[i] / spec.factor * stretched + f[i] * (1 - stretched);
        }
    }
    return f;
}

}  // namespace

template <class A>
void rope_table(A* cos, A* sin, const RopeSpec& spec, int64_t dim, int64_t length) {
    const auto f = frequencies(spec, dim);
    const double scale = spec.scaling == Scaling::yarn ? 0.1 * std::log(spec.factor) + 1 : 1;
    for (int64_t t = 0; t < length; t++)
        for (int64_t i = 0; i < dim / 2; i++) {
            cos[t * (dim / 2) + i] = A(scale * std::cos(double(t) * f[i]));
            sin[t * (dim / 2) + i] = A(scale * std::sin(double(t) * f[i]));
        }
}

template void rope_table<float>(float*, float*, const RopeSpec&, int64_t, int64_t);
template void rope_table<double>(double*, double*, const RopeSpec&, int64_t, int64_t);

}  // namespace sluice
