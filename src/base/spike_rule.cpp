#include "base/spike_rule.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/median.h"

namespace sluice {
namespace {

constexpr double kSigmas = 1.4826;                         // of a normal distribution: standard deviation over MAD
constexpr double kLeastOfLoss = 1e-3, kLeastOfNorm = 0.1;  // the least scale, of the median
constexpr int64_t kMostInASeries = 5;

void drop_oldest(std::vector<double>& values, int64_t keep) {
    if (const int64_t surplus = int64_t(values.size()) - keep; surplus > 0)
        values.erase(values.begin(), values.begin() + surplus);
}

}  // namespace

Level level_of(const std::vector<double>& values) {
    const double median = median_of(values);
    std::vector<double> deviations;
    for (double value : values) deviations.push_back(std::abs(value - median));
    return {median, median_of(std::move(deviations))};
}

bool SpikeRule::far_above(double value, const Level& level, double least) const {
    return value > level.median + threshold_ * std::max(kSigmas * level.mad, least * std::abs(level.median));
}

bool SpikeRule::is_spike(double loss, double grad_norm) {
    loss_ = grad_norm_ = {};
    if (!std::isfinite(loss) || !std::isfinite(grad_norm)) return false;
    if (2 * int64_t(history_.losses.size()) >= window_) {
        loss_ = level_of(history_.losses);
        grad_norm_ = level_of(history_.grad_norms);
        const bool far = far_above(loss, loss_, kLeastOfLoss) || far_above(grad_norm, grad_norm_, kLeastOfNorm);
        if (far && history_.in_a_row < most_) {
            history_.in_a_row++;
            return true;
        }
        if (far) history_ = {};
    }
    history_.in_a_row = 0;
    history_.losses.push_back(loss);
    history_.grad_norms.push_back(grad_norm);
    restore(std::move(history_));
    return false;
}

void SpikeRule::restore(SpikeHistory history) {
    history_ = std::move(history);
    drop_oldest(history_.losses, window_);
    drop_oldest(history_.grad_norms, window_);
}

int64_t count_spikes(const std::vector<double>& losses, int64_t window, double threshold) {
    SpikeRule rule(window, threshold, kMostInASeries);
    int64_t spikes = 0;
    for (double loss : losses) spikes += rule.is_spike(loss, 0);
    return spikes;
}

}  // namespace sluice
