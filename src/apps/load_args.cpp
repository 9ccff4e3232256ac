#include "apps/load_args.h"

#include <filesystem>

#include "base/check.h"
#include "checkpoint/stored_config.h"
#include "cli/terminal.h"
#include "data/data_facts.h"

namespace sluice {

Loaded load_args(const ConfigArgs& args, Purpose purpose, int ranks) {
    namespace fs = std::filesystem;
    DataFacts facts = facts_of_shards();
    if (purpose == Purpose::train) facts.before = config_to_go_on_from;
    const fs::path folder = args.config;
    std::error_code error;
    if (!fs::is_directory(folder, error)) return load_config(args.config, args.overrides, purpose, ranks, facts);
    const Purpose stored = purpose == Purpose::train ? purpose : Purpose::stored;
    const fs::path config = folder / "config.yaml";
    if (fs::exists(config, error)) return load_config(config.string(), args.overrides, stored, ranks, facts);
    const StoredConfig found = stored_config(folder);
    if (purpose == Purpose::train)
        fail(Exit::config, args.config +
                               ": is a checkpoint, not a config: give the run's folder to go on with it, or "
                               "a config and checkpoint.resume=" +
                               args.config);
    return load_config_text(found.yaml, found.manifest.string(), args.overrides, stored, ranks, facts);
}

void print_warnings(const Loaded& loaded) {
    for (const std::string& warning : loaded.warnings) print_warning(warning);
}

}  // namespace sluice
