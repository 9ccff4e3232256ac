// The report's numbers as CSV. A number reads back to the same bits; what is not known is empty.
#pragma once
#include <string>

#include "report/study.h"

namespace sluice {

// A row a point: variant, a column for each axis, seed, state, parameters, gates, tokens, loss (the last logged), then
// the last value of each evaluation and probe, tokens_per_second (the median of the logged ones), spikes.
std::string report_csv(const Study& study);

// A row a variant at each combination of the axes: variant, axes, n (points that are done), and for each evaluation
// KEY: KEY (its mean), KEY/difference, KEY/low and KEY/high: the mean difference to the baseline on the same seeds and
// its 95 % interval.
std::string summary_csv(const Study& study);

}  // namespace sluice
