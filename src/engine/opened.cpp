#include "engine/opened.h"

#include "base/check.h"
#include "checkpoint/resume.h"
#include "cli/terminal.h"

namespace sluice {

Opened open_for_inference(const std::string& checkpoint, const std::vector<std::string>& overrides, int ranks) {
    Opened opened;
    std::vector<std::string> warnings, all;
    opened.checkpoint = find_checkpoint(checkpoint, warnings);
    for (const auto& warning : warnings) print_warning(warning);

    // The mesh, device and precision to use, whatever the model was trained with.
    all = {"parallel.tensor=1", "parallel.expert=1", "parallel.sequence=false", "device=auto", "train.precision=fp32"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    const Config stored = config_of(opened.checkpoint);  // reports its errors; any later one is an override's
    opened.config = load_config_text(opened.checkpoint.info.config_yaml,
                                     opened.checkpoint.path.string() + "/manifest.json", all, Purpose::stored)
                        .config;
    if (const auto changes = compare_configs(stored, opened.config); !changes.model.empty())
        fail(Exit::config, "command line: a checkpoint's model cannot be changed: " + changes.model[0]);
    data_ranks_of(opened.config, ranks);
    return opened;
}

}  // namespace sluice
