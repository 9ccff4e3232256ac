#include "data/blend.h"

#include <algorithm>
#include <numeric>

namespace sluice {
namespace {

using Wide = __int128;                      // holds products of two fixed-point numbers
constexpr int64_t kOne = int64_t{1} << 60;  // 1 in fixed point

// ceil(a / b), for b > 0.
Wide divide_up(Wide a, Wide b) { return a > 0 ? (a + b - 1) / b : -(-a / b); }

}  // namespace

Blend::Blend(const std::vector<double>& weights) : counts_(weights.size()), deficits_(weights.size()) {
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (const double weight : weights) shares_.push_back(int64_t(weight / sum * double(kOne)));
    // The remainder of rounding goes to the largest share.
    *std::max_element(shares_.begin(), shares_.end()) +=
        kOne - std::accumulate(shares_.begin(), shares_.end(), int64_t{0});
    const auto k = int64_t(shares_.size());
    due_ = k > 1 ? kOne / (2 * k - 2) : 0;
}

// Takes one sample. A source is due if its deficit is at least `due`. Among sources that are due it takes the one with
// the nearest deadline: the step at which its deficit would exceed 1 - due. Example: shares 1/2, 1/3, 1/6, so k = 3 and
// due = 1/4. The deficits, after each grew by its share, and the source taken (*):
//     sample 0:  1/2*  1/3   1/6    0 and 1 are due; deadlines in 1/2 and 5/4 steps
//     sample 1:   0    2/3*  1/3    1 and 2 are due; deadlines in 1/4 and 5/2 steps
//     sample 2:  1/2*   0    1/2    0 and 2 are due; deadlines in 1/2 and 3/2 steps
// Taking a sample lowers the source's deficit by 1.
void Blend::step() {
    size_t best = 0;
    int64_t best_slack = 0;
    bool found = false;
    for (size_t i = 0; i < shares_.size(); i++) {
        deficits_[i] += shares_[i];
        if (deficits_[i] < due_ || shares_[i] == 0) continue;
        const int64_t slack = kOne - due_ - deficits_[i];  // the deadline is slack / share steps away
        // slack / share >= best_slack / best_share, without dividing: no earlier deadline.
        if (found && Wide(slack) * shares_[best] >= Wide(best_slack) * shares_[i]) continue;
        best = i;
        best_slack = slack;
        found = true;
    }
    deficits_[best] -= kOne;
    last_ = {best, counts_[best]++};
    n_++;
    steps_++;
}

// Sets a state at or before n from which single steps, made by at(), lead to the state at n.
// Sample j of source i is due from the first step t on at which share * t - j >= due. Its deadline passes once
// share * t - j > 1 - due: by then it has been taken, whatever came before.
// Let `start` be the last step before any sample with a deadline after n is due. So every sample taken until then has a
// deadline up to n. Those whose deadline has passed at `start` are known (overdue). Of the others only the number is
// known, not which. Any choice of them leads to the same state at n: at every later step equally many samples with
// deadlines up to n remain. So the same steps go to these, all of them are taken by n, and the other steps go to the
// same later samples.
void Blend::jump(int64_t n) {
    const size_t k = shares_.size();
    const auto overdue = [&](size_t i, int64_t step) {  // samples of source i whose deadline has passed
        return std::max<Wide>(0, divide_up(Wide(shares_[i]) * step - kOne + due_, kOne));
    };
    Wide start = n;
    for (size_t i = 0; i < k; i++)
        if (shares_[i] > 0) start = std::min(start, divide_up(due_ + overdue(i, n) * kOne, shares_[i]) - 1);
    n_ = std::max<int64_t>(0, int64_t(start));

    int64_t others = n_;  // samples taken by n_ before their deadline
    for (size_t i = 0; i < k; i++) {
        counts_[i] = int64_t(overdue(i, n_));
        others -= counts_[i];
        deficits_[i] = int64_t(Wide(shares_[i]) * n_ - Wide(counts_[i]) * kOne);
    }
    for (size_t i = 0; i < k && others > 0; i++)
        if (shares_[i] > 0 && deficits_[i] >= due_) {  // due at n_
            counts_[i]++;
            deficits_[i] -= kOne;
            others--;
        }
}

Blend::Pick Blend::at(int64_t n) {
    if (shares_.size() == 1) return {0, n};
    constexpr int64_t kNear = 4096;  // samples; a nearer n is reached by single steps
    if (n < n_ - 1 || n > n_ + kNear) jump(n);
    while (n_ <= n) step();
    return last_;
}

}  // namespace sluice
