#include "apps/config.h"

#include <cstdio>

#include "apps/load_args.h"
#include "base/check.h"
#include "config/load.h"

namespace sluice {
namespace {

void print(const std::string& text) { std::printf(text.ends_with('\n') ? "%s" : "%s\n", text.c_str()); }

}  // namespace

int config_command(const ConfigArgs& args, bool json, bool reference) {
    if (reference) {
        print(json ? reference_json() : sluice::reference());
        return int(Exit::done);
    }
    if (args.config.empty()) fail(Exit::config, "config: name a file, or ask for --reference");
    const Loaded loaded = load_args(args, Purpose::plan);
    print_warnings(loaded);
    print(json ? dump_json_with_origins(loaded) : dump_yaml_with_origins(loaded));
    return int(Exit::done);
}

}  // namespace sluice
