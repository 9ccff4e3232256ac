// What a report is about: the points of a sweep, or a single run.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "report/run_data.h"
#include "sweep/points.h"
#include "sweep/state.h"

namespace sluice {

struct StudyPoint {
    Point point;  // without a config
    PointStatus status;
    RunData run;
    std::optional<int64_t> parameters, gates;  // of the model; of them in gates
    double flops = 0;                          // of the training so far
    std::optional<int64_t> tokens;             // trained on so far
    std::optional<int64_t> spikes;             // that a guard refused; without one, those of the logged losses

    bool counts = false;  // whether its results are final: a sweep's point is done. A run alone always counts.
};

// The points of a variant at a combination of values of the axes, one for each seed.
struct Group {
    std::string variant, name, combination;  // combination: "KEY=VALUE, ..."; name: "VARIANT[, combination]"
    std::vector<std::string> axes;           // a value for each of Study::axes
    std::vector<const StudyPoint*> points;
};

struct Study {
    std::filesystem::path folder;
    std::string name, baseline;  // baseline: a variant
    bool sweep = false;
    std::vector<std::string> axes;  // their keys
    std::set<std::string> of_size;  // those of axes that make models or trainings of several sizes
    std::set<std::string> implied;  // those whose values follow from another's, with which they go: no name has them
    std::vector<StudyPoint> points;
    std::vector<std::string> evals;   // keys of evaluations that any point has, as "eval/NAME/loss"
    std::vector<std::string> probes;  // keys of probes that any point has, those of single layers last

    std::vector<Group> groups() const;
    // "KEY=VALUE, ..." of a group, for the keys that are wanted and not implied.
    std::string text_of(const Group& group, const std::function<bool(const std::string& key)>& wanted) const;
    std::vector<std::string> sets() const;  // the names of validation sets
};

// folder: of a sweep (which has a sweep.yaml) or of a run. Errors: Failure(Exit::config) where it is neither, or where
// its sweep.yaml is wrong; Failure(Exit::other) where nothing has a step yet.
Study read_study(const std::filesystem::path& folder);

}  // namespace sluice
