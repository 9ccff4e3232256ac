#include "apps/config.h"

#include <cstdio>

#include "base/check.h"
#include "config/load.h"

namespace sluice {
namespace {

void print(const std::string& text) { std::printf(text.ends_with('\n') ? "%s" : "%s\n", text.c_str()); }

}  // namespace

int config_command(const std::string& file, const std::vector<std::string>& overrides, bool json, bool reference) {
    if (reference) {
        print(json ? reference_json() : sluice::reference());
        return int(Exit::done);
    }
    if (file.empty()) fail(Exit::config, "config: name a file, or ask for --reference");
    const Loaded loaded = load_config(file, overrides, Purpose::plan);
    print(json ? dump_json_with_origins(loaded) : dump_yaml_with_origins(loaded));
    return int(Exit::done);
}

}  // namespace sluice
