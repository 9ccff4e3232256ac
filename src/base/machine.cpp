#include "base/machine.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace sluice {

std::string processor() {
    std::string lines;
    std::ifstream cpus("/proc/cpuinfo");
    for (std::string line; std::getline(cpus, line) && !line.empty();)  // of the first processor
        for (const char* what : {"vendor_id", "cpu family", "model", "cache size", "flags"})
            if (line.rfind(what, 0) == 0) lines += line + "\n";
    return lines;
}

std::string processor_name() {
    std::ifstream cpus("/proc/cpuinfo");
    for (std::string line; std::getline(cpus, line);)
        if (const size_t colon = line.find(": "); line.rfind("model name", 0) == 0 && colon != std::string::npos)
            return line.substr(colon + 2);
    return "unknown processor";
}

std::string host_name() {
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    return *name ? name : "localhost";
}

int usable_cores() { return std::max(1, int(std::thread::hardware_concurrency())); }

bool multiplies_bf16(const std::string& processor) { return processor.find(" avx512_bf16") != std::string::npos; }

std::filesystem::path program_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path(); }

std::filesystem::path cache_folder() {
    const auto named = [](const char* variable, const char* within) {
        const char* value = std::getenv(variable);
        return value && *value ? std::filesystem::path(value) / within : std::filesystem::path();
    };
    for (const auto& [variable, within] :
         {std::pair{"SLUICE_CACHE", ""}, {"XDG_CACHE_HOME", "sluice"}, {"HOME", ".cache/sluice"}})
        if (auto folder = named(variable, within); !folder.empty()) return folder;
    return {};
}

}  // namespace sluice
