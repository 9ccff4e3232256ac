#include "report/ladder.h"

#include <algorithm>
#include <boost/math/tools/minima.hpp>
#include <cmath>
#include <limits>
#include <map>

namespace sluice {

double PowerLaw::loss(double flops) const { return floor + scale * std::pow(flops, -exponent); }

std::optional<double> PowerLaw::times(double from, double to) const {
    if (!(from > floor) || !(to > floor)) return {};
    return std::pow((from - floor) / (to - floor), 1 / exponent);
}

namespace {

PowerLaw with_floor(const std::vector<Rung>& rungs, double floor) {
    double x = 0, y = 0, xx = 0, xy = 0;
    const double n = double(rungs.size());
    for (const Rung& rung : rungs) {
        const double log_flops = std::log(rung.flops), log_loss = std::log(rung.loss - floor);
        x += log_flops / n;
        y += log_loss / n;
    }
    for (const Rung& rung : rungs) {
        const double dx = std::log(rung.flops) - x;
        xx += dx * dx;
        xy += dx * (std::log(rung.loss - floor) - y);
    }
    const double slope = xy / xx;
    return {floor, std::exp(y - slope * x), -slope};
}

double squares(const std::vector<Rung>& rungs, const PowerLaw& law) {
    double sum = 0;
    for (const Rung& rung : rungs) sum += (law.loss(rung.flops) - rung.loss) * (law.loss(rung.flops) - rung.loss);
    return sum;
}

}  // namespace

std::optional<PowerLaw> fit_power_law(const std::vector<Rung>& rungs) {
    if (rungs.empty()) return {};
    const auto [smallest, largest] =
        std::minmax_element(rungs.begin(), rungs.end(), [](const Rung& a, const Rung& b) { return a.flops < b.flops; });
    if (!(smallest->flops > 0) || !(largest->flops > smallest->flops)) return {};
    double least = std::numeric_limits<double>::infinity();
    for (const Rung& rung : rungs) least = std::min(least, rung.loss);
    if (!(least > 0)) return {};
    PowerLaw law = with_floor(rungs, 0);
    if (rungs.size() >= 4) {
        // In logarithms of the distance to the least loss, from 1e-4 of it to all of it.
        const auto of = [&](double log_distance) { return with_floor(rungs, least * (1 - std::exp(log_distance))); };
        const auto [at, sum] = boost::math::tools::brent_find_minima(
            [&](double log_distance) { return squares(rungs, of(log_distance)); }, std::log(1e-4), 0.0, 40);
        if (sum < squares(rungs, law)) law = of(at);
    }
    return law.exponent > 0 ? std::optional(law) : std::nullopt;
}

namespace {

// The points of a ladder, by the place on it.
struct Sorted {
    std::string where;
    std::vector<const Group*> groups;
};

Measure final_loss(const Study& study) {
    return study.sets().empty() ? last_of("loss") : mean_over_sets(study, "loss");
}

std::optional<double> seconds_of(const StudyPoint& point) {
    const auto rate = point.run.median("tokens_per_second");
    if (!rate || !(*rate > 0) || !point.tokens) return {};
    return double(*point.tokens) / *rate;
}

// With the baseline's points of one seed.
struct OfSeed {
    std::vector<Rung> rungs;
    std::map<std::string, const StudyPoint*> at;  // by size
    std::optional<PowerLaw> law;
};

std::optional<Interval> exponential(const std::vector<double>& logarithms) {
    std::optional<Interval> interval = interval_of(logarithms);
    if (!interval) return {};
    interval->mean = std::exp(interval->mean);
    if (interval->low) interval->low = std::exp(*interval->low);
    if (interval->high) interval->high = std::exp(*interval->high);
    return interval;
}

class Climb {
 public:
    Climb(const Study& study, const Sorted& sorted) : study_(study), sorted_(sorted), loss_(final_loss(study)) {
        for (const Group* group : sorted.groups)
            if (group->variant == study.baseline)
                for (const StudyPoint* point : group->points)
                    if (const auto loss = loss_(*point); loss && point->counts && point->flops > 0) {
                        OfSeed& seed = baseline_[point->point.seed];
                        seed.rungs.push_back({point->flops, *loss});
                        seed.at[size_of(*group)] = point;
                    }
        for (auto& [number, seed] : baseline_) seed.law = fit_power_law(seed.rungs);
    }

    Ladder ladder() const {
        Ladder ladder{sorted_.where, {}, {}};
        std::vector<Rung> means;
        for (const Group* group : sorted_.groups) {
            const std::optional<Gain> gain = gain_of(*group);
            if (!gain) continue;
            if (group->variant == study_.baseline) means.push_back({gain->flops, gain->loss});
            ladder.rungs.push_back(*gain);
        }
        ladder.law = fit_power_law(means);
        return ladder;
    }

 private:
    std::string size_of(const Group& group) const {
        return study_.text_of(group, [&](const std::string& key) { return study_.of_size.count(key) > 0; });
    }

    std::optional<Gain> gain_of(const Group& group) const {
        const auto loss = mean_of(group, loss_);
        const auto flops = mean_of(group, [](const StudyPoint& point) { return std::optional(point.flops); });
        if (!loss || !flops || !(flops->mean > 0)) return {};
        Gain gain{group.variant, size_of(group), flops->mean, loss->mean, {}, {}, ""};
        if (group.variant == study_.baseline) return gain;
        std::vector<double> data, time;
        for (const StudyPoint* point : group.points)
            if (const std::string why = add_seed(*point, gain.size, data, time); !why.empty()) gain.why = why;
        gain.data = exponential(data);
        gain.time = exponential(time);
        return gain;
    }
    // The law of the baseline's points of the same seed, through its point of the same size. Returns why that says
    // nothing, or "".
    std::string add_seed(const StudyPoint& point, const std::string& size, std::vector<double>& data,
                         std::vector<double>& time) const {
        const auto seed = baseline_.find(point.point.seed);
        const auto reached = loss_(point);
        if (!point.counts || !reached) return "not done";
        const std::string of_seed = " of seed " + std::to_string(point.point.seed);
        if (seed == baseline_.end() || !seed->second.at.count(size)) return "no baseline" + of_seed;
        const std::optional<PowerLaw>& law = seed->second.law;
        if (!law) return "the baseline's losses" + of_seed + " follow no power law";
        const StudyPoint& baseline = *seed->second.at.at(size);
        const auto times = law->times(*loss_(baseline), *reached);
        if (!times) return "below the floor of the baseline's law" + of_seed;
        data.push_back(std::log(*times));
        const auto own = seconds_of(point), other = seconds_of(baseline);
        if (own && other) time.push_back(std::log(*times * *other / *own));
        return "";
    }

    const Study& study_;
    const Sorted& sorted_;
    const Measure loss_;
    std::map<int64_t, OfSeed> baseline_;
};

}  // namespace

std::vector<Ladder> ladders_of(const Study& study) {
    const std::vector<Group> groups = study.groups();
    std::vector<Sorted> sorted;
    for (const Group& group : groups) {
        const std::string where =
            study.text_of(group, [&](const std::string& key) { return study.of_size.count(key) == 0; });
        const auto same = [&](const Sorted& s) { return s.where == where; };
        const auto known = std::find_if(sorted.begin(), sorted.end(), same);
        if (known == sorted.end())
            sorted.push_back({where, {&group}});
        else
            known->groups.push_back(&group);
    }
    std::vector<Ladder> ladders;
    for (const Sorted& one : sorted) {
        Ladder ladder = Climb(study, one).ladder();
        double least = std::numeric_limits<double>::infinity(), most = 0;
        for (const Gain& rung : ladder.rungs)
            if (rung.variant == study.baseline) least = std::min(least, rung.flops), most = std::max(most, rung.flops);
        if (most > 1.1 * least) ladders.push_back(std::move(ladder));
    }
    return ladders;
}

}  // namespace sluice
