#include "checkpoint/stored_config.h"

#include <vector>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/manifest.h"
#include "config/load.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

}  // namespace

StoredConfig stored_config(const fs::path& folder) {
    std::vector<fs::path> steps;
    if (fs::exists(folder / "manifest.json"))
        steps = {folder};
    else
        steps = list_checkpoints(fs::is_directory(folder / "checkpoints") ? folder / "checkpoints" : folder);
    if (steps.empty())
        fail(Exit::config,
             folder.string() + ": is a folder, but no run's: it has neither config.yaml nor a checkpoint");
    std::string why;
    for (const fs::path& step : steps) {
        const fs::path manifest = step / "manifest.json";
        try {
            return {read_manifest(manifest).info.config_yaml, manifest};
        } catch (const Failure& f) { why = why.empty() ? f.what() : why; }
    }
    fail(Exit::checkpoint, why);
}

std::optional<Config> config_to_go_on_from(const Config& config) {
    const std::string& resume = config.checkpoint.resume;
    if (resume == "never") return std::nullopt;
    const fs::path own = fs::path(config.run.dir) / config.run.name / "checkpoints";
    for (const fs::path& folder : {resume == "auto" ? own : fs::path(resume), own}) {
        try {
            const StoredConfig found = stored_config(folder);
            return load_config_text(found.yaml, found.manifest.string(), {}, Purpose::stored).config;
        } catch (const Failure&) {}
    }
    return std::nullopt;
}

}  // namespace sluice
