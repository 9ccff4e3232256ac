#include "report/study.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/file.h"
#include "base/spike_rule.h"
#include "log/run_list.h"
#include "model/counts.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// By the guard's rule over the logged losses, which are fewer than the steps.
constexpr int64_t kSpikeWindow = 32;
constexpr double kSpikeThreshold = 8;

std::optional<int64_t> spikes_of(const RunData& run) {
    if (const auto refused = run.last("spikes")) return int64_t(*refused);
    const auto found = run.series.find("loss");
    if (found == run.series.end()) return {};
    std::vector<double> losses;
    for (const auto& [step, loss] : found->second) losses.push_back(loss);
    return count_spikes(losses, kSpikeWindow, kSpikeThreshold);
}

void read_point(StudyPoint& read) {
    read.status = status_of(read.point);
    read.run = read_run(read.point.folder);
    if (const auto tokens = read.run.last("tokens")) read.tokens = int64_t(*tokens);
    read.spikes = spikes_of(read.run);
    if (!read.run.config) return;
    const Config& config = *read.run.config;
    const ParameterCounts counts = count_parameters(config.model);
    read.parameters = counts.total;
    read.gates = counts.gates;
    read.flops = flops_per_token(config.model, config.data.sequence_length) * double(read.tokens.value_or(0));
}

std::string value_text(const Node& value) { return value.kind == Node::Kind::scalar ? value.text : flow_text(value); }

// Of all points together; those of single layers ("probe/layers/...") behind the others.
void list_keys(Study& study) {
    std::set<std::string> evals, means, layers;
    for (const StudyPoint& point : study.points)
        for (const auto& [key, series] : point.run.series)
            if (key.starts_with("eval/"))
                evals.insert(key);
            else if (key.starts_with("probe/layers/"))
                layers.insert(key);
            else if (key.starts_with("probe/"))
                means.insert(key);
    study.evals.assign(evals.begin(), evals.end());
    study.probes.assign(means.begin(), means.end());
    study.probes.insert(study.probes.end(), layers.begin(), layers.end());
}

bool makes_size(const std::string& key) {
    return key.starts_with("model.") || key == "train.steps" || key == "train.tokens" || key == "train.batch";
}

// Whether no two rows of an axis have the same value of its first key.
bool first_tells_all(const Axis& axis) {
    std::set<std::string> values;
    for (const std::vector<Node>& row : axis.values) values.insert(value_text(row[0]));
    return values.size() == axis.values.size();
}

// The folder may have been moved since: the points are where it is now.
Study study_of_sweep(const fs::path& folder) {
    SweepSpec spec = read_sweep(folder.string(), {}, BaseFile::ignored);
    spec.dir = folder.parent_path().string();
    spec.name = folder.filename().string();
    Study study;
    study.folder = folder;
    study.name = spec.name;
    study.baseline = spec.baseline;
    study.sweep = true;
    for (const Axis& axis : spec.axes) {
        study.axes.insert(study.axes.end(), axis.keys.begin(), axis.keys.end());
        if (std::any_of(axis.keys.begin(), axis.keys.end(), makes_size))
            study.of_size.insert(axis.keys.begin(), axis.keys.end());
        if (first_tells_all(axis)) study.implied.insert(axis.keys.begin() + 1, axis.keys.end());
    }
    for (Point& point : name_points(spec)) study.points.emplace_back().point = std::move(point);
    return study;
}

Study study_of_run(const fs::path& folder) {
    Study study;
    study.folder = folder;
    study.name = folder.filename().string();
    Point point;
    point.variant = point.group = study.baseline = study.name;
    point.folder = folder;
    study.points.emplace_back().point = point;
    return study;
}

// A point that is done may have lost the end of its metrics.jsonl, and with it its results.
bool has_last_step(StudyPoint& point) {
    const auto loss = point.run.series.find("loss");
    const int64_t logged = loss == point.run.series.end() ? 0 : loss->second.back().first;
    if (!point.run.config || logged >= point.run.config->train.steps) return true;
    point.run.complaints.push_back((point.point.folder / "metrics.jsonl").string() + ": ends at step " +
                                   std::to_string(logged) + " of " + std::to_string(point.run.config->train.steps) +
                                   ": what the run has given is lost, and in no mean");
    return false;
}

bool is_run(const fs::path& folder) {
    const std::vector<fs::path> runs = find_runs(folder);
    return runs.size() == 1 && fs::equivalent(runs[0], folder);
}

}  // namespace

std::string Study::text_of(const Group& group, const std::function<bool(const std::string& key)>& wanted) const {
    std::string text;
    for (size_t i = 0; i < axes.size(); i++)
        if (wanted(axes[i]) && !implied.count(axes[i]))
            text += (text.empty() ? "" : ", ") + axes[i] + "=" + group.axes[i];
    return text;
}

std::vector<Group> Study::groups() const {
    std::vector<Group> groups;
    for (const StudyPoint& point : points) {
        if (groups.empty() || groups.back().points[0]->point.group != point.point.group) {
            Group& group = groups.emplace_back();
            group.variant = point.point.variant;
            for (const auto& [key, value] : point.point.axes) group.axes.push_back(value_text(value));
            group.combination = text_of(group, [](const std::string&) { return true; });
            group.name = group.variant + (group.combination.empty() ? "" : ", " + group.combination);
        }
        groups.back().points.push_back(&point);
    }
    return groups;
}

std::vector<std::string> Study::sets() const {
    std::vector<std::string> sets;
    for (const std::string& key : evals)
        if (key.ends_with("/loss")) sets.push_back(key.substr(5, key.size() - 5 - 5));
    return sets;
}

Study read_study(const fs::path& given) {
    fs::path folder = (given / "").lexically_normal().parent_path();
    if (folder.empty() || folder.filename() == "." || folder.filename() == "..") folder = fs::weakly_canonical(given);
    Study study;
    if (is_there(folder / "sweep.yaml"))
        study = study_of_sweep(folder);
    else if (is_folder(folder) && is_run(folder))
        study = study_of_run(folder);
    else
        fail(Exit::config, given.string() +
                               (is_there(given) ? " is the folder of neither a sweep nor a run" : " does not exist") +
                               ": give DIR/NAME, as runs/quickstart");
    bool any = false;
    for (StudyPoint& point : study.points) {
        read_point(point);
        point.counts = !study.sweep || (point.status.state == PointState::done && has_last_step(point));
        any |= !point.run.series.empty();
    }
    if (!any) fail(Exit::other, given.string() + ": nothing to report: no run there has logged a step yet");
    list_keys(study);
    return study;
}

}  // namespace sluice
