#include "train/resume.h"

#include <map>

#include "base/check.h"
#include "config/load.h"

namespace sluice {
namespace {

bool starts_with(const std::string& key, const char* prefix) { return key.rfind(prefix, 0) == 0; }

bool changes_course(const std::string& key) {
    if (starts_with(key, "data.validation") || starts_with(key, "data.tokenizer")) return false;
    return starts_with(key, "optimizer.") || starts_with(key, "schedule.") || starts_with(key, "data.") ||
           key == "train.steps" || key == "train.batch" || key == "run.seed";
}

void refuse_changes(const Config& config, const Checkpoint& from, Origin& origin) {
    const ConfigChanges changes = compare_configs(config_of(from), config);
    if (!changes.model.empty())
        fail(Exit::checkpoint, from.path.string() + ": cannot resume with another model: " + changes.model[0] +
                                   " (start a new run with checkpoint.init_from to keep its weights)");
    if (!changes.course.empty() && !config.checkpoint.allow_change)
        fail(Exit::checkpoint, from.path.string() + ": resuming would change the course: " + changes.course[0] +
                                   " (set checkpoint.allow_change=true to go on all the same)");
    for (const auto& list : {changes.course, changes.rounding})
        for (const auto& change : list) origin.warnings.push_back("changed on resume: " + change);
}

}  // namespace

Config config_of(const Checkpoint& checkpoint) {
    try {
        return load_config_text(checkpoint.info.config_yaml, (checkpoint.path / "manifest.json").string(), {},
                                Purpose::stored)
            .config;
    } catch (const Failure& f) { fail(Exit::checkpoint, f.what()); }
}

ConfigChanges compare_configs(const Config& before, const Config& now) {
    std::map<std::string, std::pair<std::string, std::string>> values;
    for (const auto& [key, value] : flatten(before)) values[key].first = value;
    for (const auto& [key, value] : flatten(now)) values[key].second = value;
    ConfigChanges changes;
    for (const auto& [key, value] : values) {
        if (value.first == value.second) continue;
        const std::string text = key + ": " + (value.first.empty() ? "(absent)" : value.first) + " -> " +
                                 (value.second.empty() ? "(absent)" : value.second);
        if (starts_with(key, "model.")) changes.model.push_back(text);
        if (changes_course(key)) changes.course.push_back(text);
        if (key == "train.precision") changes.rounding.push_back(text);
    }
    return changes;
}

Origin find_origin(const Config& config, const std::filesystem::path& checkpoints) {
    Origin origin;
    const std::string& resume = config.checkpoint.resume;
    const bool has_checkpoints = !list_checkpoints(checkpoints).empty();
    if (resume == "never" && has_checkpoints)
        fail(Exit::checkpoint,
             checkpoints.string() +
                 ": has checkpoints, and checkpoint.resume is never: choose another run.name, or remove them");
    if (resume != "auto" && resume != "never")
        origin.checkpoint = find_checkpoint(resume, origin.warnings);
    else if (has_checkpoints)
        origin.checkpoint = find_checkpoint(checkpoints, origin.warnings);
    for (auto& why : origin.warnings) why = "skipped " + why;

    if (origin.checkpoint) {
        refuse_changes(config, *origin.checkpoint, origin);
    } else if (!config.checkpoint.init_from.empty()) {
        origin.checkpoint = find_checkpoint(config.checkpoint.init_from, origin.warnings);
        origin.weights_only = true;
    }
    return origin;
}

}  // namespace sluice
