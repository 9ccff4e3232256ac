#include "train/stored_config.h"

#include <vector>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "train/checkpoint.h"
#include "train/manifest.h"

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

}  // namespace sluice
