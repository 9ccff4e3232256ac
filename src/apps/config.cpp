#include "apps/config.h"

#include <cstdio>

#include "base/check.h"
#include "config/load.h"

namespace sluice {

int config_command(const std::string& file, const std::vector<std::string>& overrides, bool json, bool reference) {
    if (reference) {
        std::printf("%s", sluice::reference().c_str());
        return 0;
    }
    if (file.empty()) fail(Exit::config, "config needs a file, or --reference");
    const Loaded loaded = load_config(file, overrides, Purpose::plan);
    std::printf("%s\n", (json ? dump_json(loaded.config) : dump_yaml_with_origins(loaded)).c_str());
    return 0;
}

}  // namespace sluice
