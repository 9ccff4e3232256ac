// Means and 95 % confidence intervals of a few numbers.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "report/study.h"

namespace sluice {

// The mean of n numbers, and Student's interval mean -+ t(0.975, n - 1) s / sqrt(n), where s is their standard
// deviation. One number has no interval.
struct Interval {
    int n = 0;
    double mean = 0;
    std::optional<double> low, high;

    bool crosses(double value) const { return low && *low <= value && value <= *high; }
};
std::optional<Interval> interval_of(const std::vector<double>& numbers);  // nothing of no numbers

// A number of a point, where it has it.
using Measure = std::function<std::optional<double>(const StudyPoint&)>;
Measure last_of(const std::string& key);
// The mean over all validation sets of what evaluations call `number`: "perplexity", as the paper's tables have it, or
// "loss". Nothing where a set has none.
Measure mean_over_sets(const Study& study, const std::string& number);

// Over the points of a group that are done.
std::optional<Interval> mean_of(const Group& group, const Measure& measure);
// The same less the baseline's, of the seeds that both have: initial weights and batches of a seed are the same.
std::optional<Interval> difference_of(const Group& group, const Group& baseline, const Measure& measure);

// The difference of the training losses on the same batches: of each seed, the mean over the last quarter of the steps
// that both have logged; then over the seeds.
std::optional<Interval> training_difference(const Group& group, const Group& baseline);

// The baseline's group at the same values of the axes; null where there is none.
const Group* baseline_of(const Study& study, const std::vector<Group>& groups, const Group& group);

}  // namespace sluice
