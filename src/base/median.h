// The middle of some numbers.
#pragma once
#include <vector>

namespace sluice {

// Of an even number of values the mean of the two in the middle. values: not empty.
double median_of(std::vector<double> values);

}  // namespace sluice
