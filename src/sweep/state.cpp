#include "sweep/state.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "base/file.h"
#include "base/format.h"
#include "base/json.h"
#include "log/run_list.h"
#include "sweep/losses.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

struct End {
    PointState state;
    std::string why;
};

// Of the last try; nothing where none was recorded, or the record cannot be read.
std::optional<End> end_of(const Point& point) {
    const fs::path path = point.folder / kPointEnd;
    if (!is_there(path)) return {};
    try {
        const Json end = parse_json(read_file(path, int(Exit::checkpoint), 1 << 20, Links::follow));
        PointState state = PointState::failed;
        if (!enum_value(to_text(member(end, "state"), "state"), state)) return {};
        return End{state, to_text(member(end, "why"), "why")};
    } catch (const std::exception&) { return {}; }
}

// Whether a key changes what a run learns from or what its results are.
bool counts(const std::string& path) {
    for (const char* own : {"run.name", "run.dir", "train.tokens", "train.epochs"})
        if (path == own) return false;
    for (const char* result : {"eval.", "probes.", "data.validation", "checkpoint.init_from"})
        if (path.starts_with(result)) return true;
    return change_of(path) != Change::nothing;
}

// "optimizer.lr: 0.01 -> 0.02" of each key that counts.
std::vector<std::string> differences(const Config& before, const Config& now) {
    std::map<std::string, std::pair<std::string, std::string>> leaves;
    for (const auto& [path, text] : flatten(before)) leaves[path] = {text, "none"};
    for (const auto& [path, text] : flatten(now)) {
        const auto [entry, added] = leaves.try_emplace(path, "none", text);
        if (!added) entry->second.second = text;
    }
    std::vector<std::string> lines;
    for (const auto& [path, texts] : leaves)
        if (texts.first != texts.second && counts(path))
            lines.push_back(path + ": " + texts.first + " -> " + texts.second);
    return lines;
}

// The config of the run in a point's folder; nothing where it has no step.
std::optional<Config> config_there(const Point& point) {
    if (!is_folder(point.folder) || !summarize_run(point.folder).step) return {};
    for (const char* name : {kPointConfig, "config.yaml"})
        if (is_there(point.folder / name))
            return load_config((point.folder / name).string(), {}, Purpose::stored).config;
    return {};
}

}  // namespace

PointStatus status_of(const Point& point) {
    PointStatus status;
    if (!is_folder(point.folder)) return status;
    const RunSummary run = summarize_run(point.folder);
    status.step = run.step;
    Losses losses(point.folder / "metrics.jsonl");
    losses.read();
    if (losses.last()) {
        if (losses.last()->loss == losses.last()->loss) status.loss = losses.last()->loss;
        status.tokens_per_second = losses.last()->tokens_per_second;
    }
    const std::optional<End> end = end_of(point);
    if (run.state == RunState::done) {
        status.state = losses.diverged() ? PointState::diverged : PointState::done;
        if (losses.diverged())
            status.why = "its last loss, " + format_fixed(losses.last()->loss, 4) + ", is above its first, " +
                         format_fixed(losses.first()->loss, 4);
    } else if (end) {
        status.state = end->state;
        status.why = end->why;
    } else {
        status.state = run.step ? PointState::partial : PointState::waiting;
    }
    return status;
}

void record_end(const Point& point, PointState state, int code, const std::string& why) {
    const Json end{{"state", enum_name(state)}, {"code", code}, {"why", why}};
    write_file(point.folder / kPointEnd, end.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

void forget_end(const Point& point) { remove_tree(point.folder / kPointEnd); }

void refuse_another(const fs::path& folder, const std::vector<Point>& points) {
    if (is_there(folder / "metrics.jsonl") || is_there(folder / "checkpoints"))
        fail(Exit::checkpoint, folder.string() + " is the folder of a run: give the sweep another sweep.name");
    if (!is_folder(folder / "points")) return;
    std::vector<std::string> there;
    for (const fs::path& group : list_folder(folder / "points", int(Exit::checkpoint))) {
        const std::string name = group.filename().string();
        there.push_back(name);
        if (std::any_of(points.begin(), points.end(), [&](const Point& point) { return point.group == name; })) return;
    }
    if (!there.empty())
        fail(Exit::checkpoint, folder.string() + " holds another sweep, with the points " + format_list(there) +
                                   ": give this one another sweep.name, or move the folder away");
}

void refuse_changed(const std::vector<Point>& points) {
    std::string lines;
    const auto refuse = [&](const Point& point, const std::string& why) {
        lines += (lines.empty() ? "point " : "\npoint ") + point.name() + ": " + point.folder.string() + " " + why;
    };
    for (const Point& point : points) try {
            const std::optional<Config> before = config_there(point);
            const std::vector<std::string> changed =
                before ? differences(*before, point.config) : std::vector<std::string>();
            if (!changed.empty())
                refuse(point, "was begun with another config: " + format_list(changed, 6) +
                                  " (move the folder away, or give the sweep another sweep.name)");
        } catch (const Failure& f) { refuse(point, std::string("holds a config that cannot be read: ") + f.what()); }
    if (!lines.empty()) fail(Exit::checkpoint, lines);
}

}  // namespace sluice
