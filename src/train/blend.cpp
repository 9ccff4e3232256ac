#include "train/blend.h"

#include <algorithm>
#include <numeric>

namespace sluice {
namespace {

using Wide = __int128;
constexpr int64_t kOne = int64_t{1} << 60;

}  // namespace

Blend::Blend(const std::vector<double>& weights) : counts_(weights.size()) {
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (const double weight : weights) shares_.push_back(int64_t(weight / sum * double(kOne)));
    // What rounding left over goes to the largest.
    *std::max_element(shares_.begin(), shares_.end()) +=
        kOne - std::accumulate(shares_.begin(), shares_.end(), int64_t{0});
}

// Of the sources that are due (behind by 1 / (2 k - 2) or more), the one that would be first to fall too far behind.
void Blend::step() {
    const auto k = int64_t(shares_.size());
    const int64_t due = k > 1 ? kOne / (2 * k - 2) : 0;
    size_t best = 0;
    Wide best_slack = 0;
    bool found = false;
    for (size_t i = 0; i < shares_.size(); i++) {
        const Wide behind = Wide(shares_[i]) * (n_ + 1) - Wide(counts_[i]) * kOne;
        if (behind < due || shares_[i] == 0) continue;
        const Wide slack = kOne - due - behind;  // its deadline is slack / share away
        if (found && slack * shares_[best] >= best_slack * shares_[i]) continue;
        best = i;
        best_slack = slack;
        found = true;
    }
    last_ = {best, counts_[best]++};
    n_++;
}

Blend::Pick Blend::at(int64_t n) {
    if (shares_.size() == 1) return {0, n};
    if (n < n_ - 1) {
        n_ = 0;
        std::fill(counts_.begin(), counts_.end(), 0);
    }
    while (n_ <= n) step();
    return last_;
}

}  // namespace sluice
