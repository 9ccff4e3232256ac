#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/format.h"
#include "report/contents.h"
#include "report/statistics.h"

namespace sluice {
namespace {

constexpr double kUnmatched = 0.01;  // of the baseline's parameters
constexpr int kFewSeeds = 3;

// Names of points that are in a state.
std::vector<std::string> in_state(const Study& study, PointState state) {
    std::vector<std::string> names;
    for (const StudyPoint& point : study.points)
        if (point.status.state == state) names.push_back(point.point.name());
    return names;
}

void warn_of_states(const Study& study, std::vector<std::string>& warnings) {
    size_t over = 0;
    for (const StudyPoint& point : study.points) over += is_over(point.status.state);
    if (over == 0)
        warnings.push_back("No point is done yet: there are curves, but no results.");
    else if (over < study.points.size())
        warnings.push_back(fmt::format("{} of {} points are over: the others may change what is said here.", over,
                                       study.points.size()));
    if (const auto names = in_state(study, PointState::diverged); !names.empty())
        warnings.push_back("Diverged, and in no mean: " + format_list(names, 8) + ".");
    if (const auto names = in_state(study, PointState::failed); !names.empty())
        warnings.push_back("Failed: " + format_list(names, 8) + ". Start the sweep again to try them again.");
}

void warn_of_sizes(const Study& study, const std::vector<Group>& groups, std::vector<std::string>& warnings) {
    std::vector<std::string> parameters, tokens;
    for (const Group& group : groups) {
        const Group* baseline = baseline_of(study, groups, group);
        if (!baseline || baseline == &group) continue;
        const StudyPoint &own = *group.points[0], &other = *baseline->points[0];
        if (own.parameters && other.parameters) {
            const double more = double(*own.parameters) / double(*other.parameters) - 1;
            if (std::abs(more) > kUnmatched)
                parameters.push_back(fmt::format("{} ({:+.1f} %)", group.name, 100 * more));
        }
        if (own.counts && other.counts && own.tokens != other.tokens) tokens.push_back(group.name);
    }
    if (!parameters.empty())
        warnings.push_back("Parameters are not matched to the baseline's: " + format_list(parameters, 8) +
                           ". `match: parameters` does it.");
    if (!tokens.empty())
        warnings.push_back("Trained on another number of tokens than the baseline: " + format_list(tokens, 8) + ".");
}

// Differences have as many numbers as there are seeds of which both are done.
void warn_of_baselines(const Study& study, const std::vector<Group>& groups, std::vector<std::string>& warnings) {
    std::vector<std::string> without;
    for (const Group& group : groups) {
        const Group* baseline = baseline_of(study, groups, group);
        const auto done = [](const Group& g) {
            return std::any_of(g.points.begin(), g.points.end(), [](const StudyPoint* p) { return p->counts; });
        };
        if (baseline && baseline != &group && done(group) && !done(*baseline)) without.push_back(group.name);
    }
    if (!without.empty())
        warnings.push_back("No point of the baseline is done to compare with: " + format_list(without, 8) + ".");
    if (study.sets().empty())
        warnings.push_back("There are no evaluations: only training losses are compared. `eval.every` gives them.");
}

void warn_of_seeds(const Study& study, const std::vector<Group>& groups, std::vector<std::string>& warnings) {
    size_t most = 0;
    std::vector<std::string> few, undecided;
    for (const Group& group : groups) {
        size_t done = 0;
        for (const StudyPoint* point : group.points) done += point->counts;
        most = std::max(most, done);
        const Group* baseline = baseline_of(study, groups, group);
        if (!baseline || baseline == &group) continue;
        const auto difference = study.sets().empty()
                                    ? training_difference(group, *baseline)
                                    : difference_of(group, *baseline, mean_over_sets(study, "perplexity"));
        if (difference && difference->n > 1 && difference->n < kFewSeeds) few.push_back(group.name);
        if (difference && difference->crosses(0)) undecided.push_back(group.name);
    }
    if (most == 1)
        warnings.push_back("One seed decides nothing: differences have no intervals. `seeds: [1, 2, 3]` gives them.");
    if (!few.empty())
        warnings.push_back("Fewer than three seeds, so that intervals are wide: " + format_list(few, 8) + ".");
    if (!undecided.empty())
        warnings.push_back("The interval of the difference to the baseline crosses zero: " + format_list(undecided, 8) +
                           ".");
}

}  // namespace

std::vector<std::string> warnings_of(const Study& study) {
    std::vector<std::string> warnings;
    const std::vector<Group> groups = study.groups();
    warn_of_states(study, warnings);
    if (study.sweep) {
        warn_of_sizes(study, groups, warnings);
        warn_of_baselines(study, groups, warnings);
        warn_of_seeds(study, groups, warnings);
    }
    for (const StudyPoint& point : study.points)
        for (const std::string& complaint : point.run.complaints) warnings.push_back(complaint);
    return warnings;
}

}  // namespace sluice
