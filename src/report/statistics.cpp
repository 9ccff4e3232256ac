#include "report/statistics.h"

#include <boost/math/distributions/students_t.hpp>
#include <cmath>

namespace sluice {

std::optional<Interval> interval_of(const std::vector<double>& numbers) {
    if (numbers.empty()) return {};
    Interval interval;
    interval.n = int(numbers.size());
    for (const double x : numbers) interval.mean += x / interval.n;
    if (interval.n < 2) return interval;
    double squares = 0;
    for (const double x : numbers) squares += (x - interval.mean) * (x - interval.mean);
    const double t = quantile(boost::math::students_t(interval.n - 1), 0.975);
    const double half = t * std::sqrt(squares / (interval.n - 1) / interval.n);
    interval.low = interval.mean - half;
    interval.high = interval.mean + half;
    return interval;
}

Measure last_of(const std::string& key) {
    return [key](const StudyPoint& point) { return point.run.last(key); };
}

Measure mean_over_sets(const Study& study, const std::string& number) {
    return [sets = study.sets(), number](const StudyPoint& point) -> std::optional<double> {
        double sum = 0;
        for (const std::string& set : sets) {
            const auto of_set = point.run.last("eval/" + set + "/" + number);
            if (!of_set) return {};
            sum += *of_set;
        }
        return sets.empty() ? std::nullopt : std::optional(sum / double(sets.size()));
    };
}

std::optional<Interval> mean_of(const Group& group, const Measure& measure) {
    std::vector<double> numbers;
    for (const StudyPoint* point : group.points)
        if (const auto number = measure(*point); point->counts && number) numbers.push_back(*number);
    return interval_of(numbers);
}

namespace {

// Calls `of` with the points of each seed for which both are done.
template <class Of>
std::optional<Interval> by_seed(const Group& group, const Group& baseline, const Of& of) {
    std::vector<double> numbers;
    for (const StudyPoint* own : group.points)
        for (const StudyPoint* other : baseline.points)
            if (own->point.seed == other->point.seed && own->counts && other->counts)
                if (const std::optional<double> number = of(*own, *other)) numbers.push_back(*number);
    return interval_of(numbers);
}

}  // namespace

std::optional<Interval> difference_of(const Group& group, const Group& baseline, const Measure& measure) {
    return by_seed(group, baseline, [&](const StudyPoint& own, const StudyPoint& other) -> std::optional<double> {
        const auto a = measure(own), b = measure(other);
        return a && b ? std::optional(*a - *b) : std::nullopt;
    });
}

std::optional<Interval> training_difference(const Group& group, const Group& baseline) {
    return by_seed(group, baseline, [](const StudyPoint& own, const StudyPoint& other) -> std::optional<double> {
        const auto a = own.run.series.find("loss"), b = other.run.series.find("loss");
        if (a == own.run.series.end() || b == other.run.series.end()) return {};
        const Series &ours = a->second, &theirs = b->second;
        std::vector<double> differences;
        for (size_t i = 0, j = 0; i < ours.size() && j < theirs.size();) {
            if (ours[i].first == theirs[j].first) differences.push_back(ours[i].second - theirs[j].second);
            const int64_t step = std::min(ours[i].first, theirs[j].first);
            i += ours[i].first == step;
            j += theirs[j].first == step;
        }
        if (differences.empty()) return {};
        const size_t last = (differences.size() + 3) / 4;
        double sum = 0;
        for (size_t i = differences.size() - last; i < differences.size(); i++) sum += differences[i];
        return sum / double(last);
    });
}

const Group* baseline_of(const Study& study, const std::vector<Group>& groups, const Group& group) {
    for (const Group& other : groups)
        if (other.variant == study.baseline && other.axes == group.axes) return &other;
    return nullptr;
}

}  // namespace sluice
