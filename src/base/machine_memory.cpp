#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "base/format.h"
#include "base/machine.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr size_t kUnlimited = INT64_MAX;  // bytes

// The number in a file, or behind a word in it; `otherwise` where there is none ("max", no such file).
size_t number_in(const fs::path& file, size_t otherwise, const std::string& word = "") {
    std::ifstream text(file);
    std::string at;
    if (!word.empty())
        while (text >> at && at != word) {}
    size_t number = 0;
    return text >> number ? std::min(number, kUnlimited) : otherwise;
}

// The files of a control group, by the version of its interface.
struct Files {
    const char *folder, *limit, *swap, *both, *used, *cache;  // swap alone, or together with memory
};
constexpr Files kVersion1{"sys/fs/cgroup/memory",        "memory.limit_in_bytes", "",
                          "memory.memsw.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr Files kVersion2{"sys/fs/cgroup", "memory.max", "memory.swap.max", "", "memory.current", "inactive_file"};

// Of a process's own group and of those above. Within a container its root may be the container's.
void limit_by_groups(MachineMemory& memory, size_t swap, const Files& files, const fs::path& root,
                     const fs::path& group) {
    fs::path folder = root / files.folder;
    const auto apply = [&] {
        const size_t limit = number_in(folder / files.limit, kUnlimited);
        if (limit >= kUnlimited - swap) return;
        const size_t own_swap = std::min(swap, number_in(folder / files.swap, kUnlimited));
        memory.total = std::min({memory.total, limit + own_swap, number_in(folder / files.both, kUnlimited)});
        // Files that were read and are not in use make room.
        const size_t used = number_in(folder / files.used, 0);
        const size_t held = used - std::min(used, number_in(folder / "memory.stat", 0, files.cache));
        memory.free = std::min(memory.free, limit - std::min(limit, held));
    };
    apply();
    for (const fs::path& name : group.relative_path()) {
        if (name == "..") return;
        folder /= name;
        apply();
    }
}

}  // namespace

MachineMemory machine_memory(int processes, const fs::path& root) {
    const fs::path meminfo = root / "proc/meminfo";
    const auto in_kib = [&](const char* word) { return number_in(meminfo, 0, word) * 1024; };
    const size_t swap = in_kib("SwapTotal:");
    MachineMemory memory{in_kib("MemTotal:") + swap, in_kib("MemAvailable:"), 0};
    if (memory.total == swap) memory.total = memory.free = kUnlimited;
    std::ifstream groups(root / "proc/self/cgroup");  // "4:cpu,memory:/PATH", "0::/PATH"
    for (std::string line; std::getline(groups, line);) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string kinds = "," + line.substr(first + 1, second - first - 1) + ",",
                          path = line.substr(second + 1);
        if (kinds == ",,") limit_by_groups(memory, swap, kVersion2, root, path);
        if (kinds.find(",memory,") != std::string::npos) limit_by_groups(memory, swap, kVersion1, root, path);
    }
    memory.total /= size_t(processes);
    memory.free /= size_t(processes);
    memory.limit = memory.total;
    if (rlimit own; getrlimit(RLIMIT_AS, &own) == 0 && own.rlim_cur != RLIM_INFINITY) {
        const size_t used = number_in("/proc/self/statm", 0) * size_t(sysconf(_SC_PAGESIZE));
        const size_t left = own.rlim_cur - std::min<size_t>(own.rlim_cur, used);
        memory = {std::min<size_t>(memory.total, own.rlim_cur), std::min(memory.free, left),
                  std::min(memory.limit, left)};
    }
    return memory;
}

std::string free_memory() {
    const MachineMemory memory = machine_memory();
    return format_bytes(double(memory.free)) + " of " + format_bytes(double(memory.total)) + " are free";
}

}  // namespace sluice
