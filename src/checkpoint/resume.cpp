#include "checkpoint/resume.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "base/check.h"
#include "base/format.h"
#include "base/json.h"
#include "checkpoint/data_changes.h"
#include "config/load.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

bool starts_with(const std::string& key, const char* prefix) { return key.rfind(prefix, 0) == 0; }

bool is_data_path(const std::string& change) {
    return starts_with(change, "data.train.") && change.find(".path: ") != std::string::npos;
}

// The changes, or the first few of many, with "; " between them. format_list() keeps control characters out of the
// line.
std::string listed(const std::vector<std::string>& changes) {
    constexpr size_t kMaxListed = 6;
    std::string text = format_list({changes.begin(), changes.begin() + std::min(changes.size(), size_t{1})});
    for (size_t i = 1; i < std::min(changes.size(), kMaxListed); i++) text += "; " + format_list({changes[i]});
    const size_t more = changes.size() - std::min(changes.size(), kMaxListed);
    return text + (more > 0 ? " and " + std::to_string(more) + " more" : "");
}

// Fails with one line of all differences, of config and data, that keep the run from resuming.
[[noreturn]] void refuse(const Origin& origin, const ConfigChanges& changes, const std::vector<std::string>& data) {
    std::string course = listed(changes.course);
    if (!data.empty()) course += (course.empty() ? "" : "; ") + listed(data);
    std::string what =
        "resuming would change the course: " + course + " (set checkpoint.allow_change=true to go on all the same)";
    if (!changes.model.empty())
        what = "cannot resume with another model: " + listed(changes.model) +
               " (start a new run with checkpoint.init_from to keep its weights)" +
               (course.empty() ? "" : "; the course would change too: " + course);
    fail(Exit::checkpoint, origin.checkpoint->path.string() + ": " + what);
}

std::vector<std::string> changes_of_data(const Config& config, const Origin& origin) {
    const DataRecord& before = origin.checkpoint->info.data;
    return before.train.empty() ? std::vector<std::string>() : data_changes(before, config.data, origin.moved_data);
}

void refuse_changes(const Config& config, Origin& origin) {
    const Checkpoint& from = *origin.checkpoint;
    ConfigChanges changes = compare_configs(config_of(from), config);
    // A data path that differs is no change by itself: compare_data() compares the tokens, if the checkpoint has them.
    if (!from.info.data.train.empty()) {
        std::copy_if(changes.course.begin(), changes.course.end(), std::back_inserter(origin.moved_data), is_data_path);
        std::erase_if(changes.course, is_data_path);
    }
    if (!changes.model.empty() || (!changes.course.empty() && !config.checkpoint.allow_change))
        refuse(origin, changes, changes_of_data(config, origin));
    for (const auto& list : {changes.course, changes.rounding})
        for (const auto& change : list) origin.warnings.push_back("changed on resume: " + change);
}

// ---------------------------------------------------------------- checkpoint.resume names a path
bool same_folder(const fs::path& a, const fs::path& b) {
    std::error_code error;
    return fs::equivalent(a, b, error);
}

// The path without trailing slashes, "." and "..".
std::string plain(const std::string& path) {
    const fs::path normal = fs::path(path).lexically_normal();
    return (normal.has_filename() ? normal : normal.parent_path()).string();
}

// Whether the branch of `newest` began at the path in checkpoint.resume, with this config: then the same command was
// run before. given: the checkpoint at the path now, if there is one.
bool already_resumed(const Checkpoint& newest, const std::optional<Checkpoint>& given, const Config& config) {
    const auto& branch = newest.info.branch;
    if (!branch) return false;
    const bool same = given && branch->step == given->info.step && branch->digest == given->info.digest;
    if (!same && branch->path != plain(config.checkpoint.resume)) return false;
    const ConfigChanges changes = compare_configs(config_of(newest), config);
    return changes.model.empty() && changes.course.empty() && changes.rounding.empty();
}

// Which of the run's `own` steps must be set aside before it resumes from `given`: those after it, if it is one of
// them; all of them, if it is in another folder. None: no step must.
std::optional<GoingBack> steps_to_set_aside(const Checkpoint& given, const fs::path& checkpoints,
                                            const std::vector<fs::path>& own) {
    const int64_t step = given.info.step;
    if (!same_folder(given.path, checkpoints / step_name(step)))
        return own.empty() ? std::nullopt : std::optional(GoingBack{-1, given.path, step});
    return step_of(own[0]) > step ? std::optional(GoingBack{step, {}, 0}) : std::nullopt;
}

// Sets the origin to the checkpoint that checkpoint.resume names, or to the run's newest if the same command was run
// before. There are three cases: the command is repeated; the newest step is named through the run's folder, as `auto`
// does; or a new branch begins. An error of `given` counts only when it is needed.
void resume_from(const Config& config, const fs::path& checkpoints, const std::vector<fs::path>& own, Origin& origin) {
    const std::string& resume = config.checkpoint.resume;
    std::vector<std::string> given_warnings, newest_warnings;
    std::optional<Checkpoint> given, newest;
    std::optional<Failure> error;
    try {
        given = find_checkpoint(resume, given_warnings);
    } catch (const Failure& f) { error = f; }
    try {
        if (given && !own.empty() && same_folder(given->path, own[0]))
            newest = given;
        else if (!own.empty())
            newest = find_checkpoint(checkpoints, newest_warnings);
    } catch (const Failure&) {}
    const bool names_newest = newest && given && same_folder(given->path, newest->path);
    if (newest && !names_newest && already_resumed(*newest, given, config)) {
        origin.warnings = newest_warnings;
        origin.warnings.push_back(resume + ": this run went on from there before, and goes on from its step " +
                                  std::to_string(newest->info.step) +
                                  " now; to begin there once more, move the steps " + "after it out of " +
                                  checkpoints.string());
        origin.branch = newest->info.branch;
        origin.checkpoint = std::move(newest);
        return;
    }
    if (error) throw *error;
    origin.warnings = given_warnings;
    if (names_newest && !same_folder(resume, given->path)) {  // through the run's folder: the branch continues
        origin.branch = given->info.branch;
    } else {
        origin.branch = {plain(resume), given->info.digest, given->info.step};
        origin.back = steps_to_set_aside(*given, checkpoints, own);
        origin.takes_rows = own.empty();
    }
    origin.checkpoint = std::move(given);
}

}  // namespace

Config config_of(const Checkpoint& checkpoint) {
    try {
        return load_config_text(checkpoint.info.config_yaml, (checkpoint.path / "manifest.json").string(), {},
                                Purpose::stored)
            .config;
    } catch (const Failure& f) { fail(Exit::checkpoint, f.what()); }
}

// Values of layers may be given in other ranges, and mean the same.
template <class T>
static void align_ranges(PerLayer<T>& a, int64_t layers_of_a, PerLayer<T>& b, int64_t layers_of_b) {
    if (a.same_ranges(b)) return;
    a = a.by_layer(layers_of_a);
    b = b.by_layer(layers_of_b);
}

ConfigChanges compare_configs(Config before, Config now) {
    align_ranges(before.model.attention, before.model.layers, now.model.attention, now.model.layers);
    align_ranges(before.model.gates, before.model.layers, now.model.gates, now.model.layers);
    std::map<std::string, std::pair<std::string, std::string>> values;
    for (const auto& [key, value] : flatten(before)) values[key].first = value;
    for (const auto& [key, value] : flatten(now)) values[key].second = value;
    ConfigChanges changes;
    for (const auto& [key, value] : values) {
        if (value.first == value.second) continue;
        const std::string text = key + ": " + (value.first.empty() ? "(absent)" : value.first) + " -> " +
                                 (value.second.empty() ? "(absent)" : value.second);
        const Change change = change_of(key);
        if (change == Change::model) changes.model.push_back(text);
        if (change == Change::course) changes.course.push_back(text);
        if (change == Change::rounding) changes.rounding.push_back(text);
    }
    return changes;
}

Origin find_origin(const Config& config, const std::filesystem::path& checkpoints) {
    Origin origin;
    const std::string& resume = config.checkpoint.resume;
    const auto own = list_checkpoints(checkpoints);
    if (resume == "never" && !own.empty())
        fail(Exit::checkpoint,
             checkpoints.string() +
                 ": has checkpoints, and checkpoint.resume is never: choose another run.name, or remove them");
    if (resume != "auto" && resume != "never") {
        resume_from(config, checkpoints, own, origin);
    } else if (!own.empty()) {
        origin.checkpoint = find_checkpoint(checkpoints, origin.warnings);
        origin.branch = origin.checkpoint->info.branch;
    }
    if (origin.checkpoint) {
        refuse_changes(config, origin);
    } else if (!config.checkpoint.init_from.empty()) {
        origin.checkpoint = find_checkpoint(config.checkpoint.init_from, origin.warnings);
        origin.weights_only = true;
    }
    return origin;
}

// ---------------------------------------------------------------- the other ranks
std::string origin_text(const Origin& origin) {
    if (!origin.checkpoint) return "";
    return Json{{"path", origin.checkpoint->path.string()},
                {"digest", origin.checkpoint->info.digest},
                {"weights_only", origin.weights_only}}
        .dump();
}

Origin origin_at(const std::string& text) {
    Origin origin;
    if (text.empty()) return origin;
    const Json json = parse_json(text);
    origin.weights_only = json["weights_only"].get<bool>();
    origin.checkpoint = open_checkpoint(json["path"].get<std::string>(), Verify::sizes);
    if (origin.checkpoint->info.digest != json["digest"].get<std::string>())
        fail(Exit::checkpoint, origin.checkpoint->path.string() + ": is not the one that rank 0 found there: do all " +
                                   "hosts see the same folder?");
    return origin;
}

// ---------------------------------------------------------------- data
void refuse_lost_data(const Config& config, const Origin& origin) {
    if (!origin.checkpoint || origin.weights_only || config.checkpoint.allow_change) return;
    if (const auto changes = changes_of_data(config, origin); !changes.empty()) refuse(origin, {}, changes);
}

void compare_data(const Config& config, const DataRecord& now, Origin& origin) {
    if (!origin.checkpoint || origin.weights_only) return;
    const DataRecord& before = origin.checkpoint->info.data;
    if (before.train.empty()) {
        origin.warnings.push_back(origin.checkpoint->path.string() +
                                  ": does not tell which tokens were read: data are taken to be the same");
        return;
    }
    const auto changes = data_changes(before, now, origin.moved_data);
    if (!changes.empty() && !config.checkpoint.allow_change) refuse(origin, {}, changes);
    for (const auto& change : changes) origin.warnings.push_back("changed on resume: " + change);
    for (const auto& moved : origin.moved_data)
        if (std::find(changes.begin(), changes.end(), moved) == changes.end())
            origin.warnings.push_back("changed on resume: " + moved + ": the same tokens");
    for (const SourceRecord& old : before.validation)
        for (const SourceRecord& set : now.validation)
            if (const auto change = old.path == set.path ? source_change(old, set) : ""; !change.empty())
                origin.warnings.push_back("losses on " + set.path + " do not compare with earlier ones: " + change);
}

}  // namespace sluice
