#include "apps/config.h"

#include <cstdio>

#include "base/check.h"
#include "config/load.h"

namespace sluice {
namespace {

void print(const std::string& text) {
    const bool ended = text.ends_with('\n');
    if (std::fprintf(stdout, ended ? "%s" : "%s\n", text.c_str()) < 0 || std::fflush(stdout) != 0)
        fail(Exit::disk, "stdout: cannot be written");
}

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
