// Compute-equivalent gain of a variant over a ladder of sizes: how many times the baseline's training FLOPs reach the
// variant's loss. docs/reports.md has the formula.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "report/statistics.h"
#include "report/study.h"

namespace sluice {

// loss = floor + scale flops^-exponent
struct PowerLaw {
    double floor = 0, scale = 0, exponent = 0;

    double loss(double flops) const;
    // How many times `flops` it takes to come from `from`, the loss there, down to `to`, on this law moved through
    // (flops, from). Nothing where `to` is not above the floor.
    std::optional<double> times(double from, double to) const;
};

struct Rung {
    double flops, loss;
};
// Least squares of log(loss - floor) against log(flops), with the floor that leaves the least squares of the losses;
// with fewer than four rungs the floor is 0. Nothing of fewer than two sizes, or where the loss does not fall.
std::optional<PowerLaw> fit_power_law(const std::vector<Rung>& rungs);

// A variant at a size. Gains are means over the seeds, of their logarithms, with 95 % intervals.
struct Gain {
    std::string variant, size;           // size: the values of the axes that make it, as "model.layers=4"
    double flops = 0, loss = 0;          // of its training; mean over seeds
    std::optional<Interval> data, time;  // for equal data, and for equal time
    std::string why;                     // there is none, where there is none
};
struct Ladder {
    std::string where;            // values of the other axes; empty: there are none
    std::optional<PowerLaw> law;  // of the baseline's means
    std::vector<Gain> rungs;      // by variant, in the sweep's order; the baseline's without gains
};
// Of a sweep whose axes make models or trainings of several sizes; none where they do not.
std::vector<Ladder> ladders_of(const Study& study);

}  // namespace sluice
