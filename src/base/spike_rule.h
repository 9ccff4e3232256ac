// Which steps of a run are spikes: their loss or gradient norm is far above those of the steps before. Numbers are
// compared by their median and their MAD (median absolute deviation from it), which outliers do not move: what is
// judged a spike stays out of them, as does what is not finite.
#pragma once
#include <cstdint>
#include <vector>

namespace sluice {

// What the rule remembers, for a checkpoint.
struct SpikeHistory {
    std::vector<double> losses, grad_norms;  // of the latest steps that were no spikes, at most a window; oldest first
    int64_t in_a_row = 0;                    // spikes since the last of these
    bool operator==(const SpikeHistory&) const = default;
};

// The middle of some numbers, and how far from it they typically lie.
struct Level {
    double median = 0, mad = 0;
};
// values: not empty.
Level level_of(const std::vector<double>& values);

class SpikeRule {
 public:
    // A number x is far above the others if x > median + threshold s. Here s is 1.4826 MAD, which of a normal
    // distribution is its standard deviation, or a share of the median where that is more: losses that differ by less
    // than a thousandth differ by rounding, and gradient norms that differ by less than a tenth harm nothing. window:
    // of so many numbers; half of them are needed before any step is a spike. After `most` spikes in a row the next one
    // is none: the numbers have another level, and the window begins anew.
    SpikeRule(int64_t window, double threshold, int64_t most) : window_(window), threshold_(threshold), most_(most) {}

    // Judges the next step and remembers it. A step that is not finite is no spike and leaves no trace.
    bool is_spike(double loss, double grad_norm);

    // What the latest step was compared with; zeros where there were too few.
    const Level& loss() const { return loss_; }
    const Level& grad_norm() const { return grad_norm_; }

    const SpikeHistory& history() const { return history_; }
    void restore(SpikeHistory history);  // of a longer window the latest part

 private:
    bool far_above(double value, const Level& level, double least) const;

    int64_t window_;
    double threshold_;
    int64_t most_;
    SpikeHistory history_;
    Level loss_, grad_norm_;
};

// How many of a series of losses the rule takes for spikes, with 5 in a row at most.
int64_t count_spikes(const std::vector<double>& losses, int64_t window, double threshold);

}  // namespace sluice
