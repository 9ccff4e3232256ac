#include "data/blend.h"

#include <algorithm>
#include <numeric>

namespace sluice {
namespace {

using Wide = __int128;
constexpr int64_t kOne = int64_t{1} << 60;

// Rounded up; b above 0.
Wide divide_up(Wide a, Wide b) { return a > 0 ? (a + b - 1) / b : -(-a / b); }

}  // namespace

Blend::Blend(const std::vector<double>& weights) : counts_(weights.size()), behind_(weights.size()) {
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (const double weight : weights) shares_.push_back(int64_t(weight / sum * double(kOne)));
    // What rounding left over goes to the largest.
    *std::max_element(shares_.begin(), shares_.end()) +=
        kOne - std::accumulate(shares_.begin(), shares_.end(), int64_t{0});
    const auto k = int64_t(shares_.size());
    due_ = k > 1 ? kOne / (2 * k - 2) : 0;
}

// Of the sources that are due (behind by 1 / (2 k - 2) or more), the one that would be first to fall too far behind.
void Blend::step() {
    size_t best = 0;
    int64_t best_slack = 0;
    bool found = false;
    for (size_t i = 0; i < shares_.size(); i++) {
        behind_[i] += shares_[i];
        if (behind_[i] < due_ || shares_[i] == 0) continue;
        const int64_t slack = kOne - due_ - behind_[i];  // its deadline is slack / share away
        if (found && Wide(slack) * shares_[best] >= Wide(best_slack) * shares_[i]) continue;
        best = i;
        best_slack = slack;
        found = true;
    }
    behind_[best] -= kOne;
    last_ = {best, counts_[best]++};
    n_++;
    steps_++;
}

// The rule is one of deadlines. Sample j of source i can be taken from the step on at which share * step - j reaches
// `due`, and has been taken once that is above 1 - due, whatever came before; among those that can be taken the first
// deadline wins. Begin at a step `start` before which no sample could be taken whose deadline is after n. Which of
// those that could be taken before `start` were is not known, but how many: and taking any others leaves as many to
// take, of all with deadlines up to n, at every step after it. So the same steps go to these, all of them are taken by
// n either way, and the other steps go to the same later samples.
void Blend::jump(int64_t n) {
    const size_t k = shares_.size();
    const auto surely = [&](size_t i, int64_t after) {  // taken after so many samples of the run
        return std::max<Wide>(0, divide_up(Wide(shares_[i]) * after - kOne + due_, kOne));
    };
    Wide start = n;
    for (size_t i = 0; i < k; i++)
        if (shares_[i] > 0) start = std::min(start, divide_up(due_ + surely(i, n) * kOne, shares_[i]) - 1);
    n_ = std::max<int64_t>(0, int64_t(start));

    int64_t left = n_;
    for (size_t i = 0; i < k; i++) {
        counts_[i] = int64_t(surely(i, n_));
        left -= counts_[i];
        behind_[i] = int64_t(Wide(shares_[i]) * n_ - Wide(counts_[i]) * kOne);
    }
    for (size_t i = 0; i < k && left > 0; i++)
        if (shares_[i] > 0 && behind_[i] >= due_) {  // one that could be taken
            counts_[i]++;
            behind_[i] -= kOne;
            left--;
        }
}

Blend::Pick Blend::at(int64_t n) {
    if (shares_.size() == 1) return {0, n};
    constexpr int64_t kNear = 4096;
    if (n < n_ - 1 || n > n_ + kNear) jump(n);
    while (n_ <= n) step();
    return last_;
}

}  // namespace sluice
