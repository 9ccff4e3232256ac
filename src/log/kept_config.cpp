#include "log/kept_config.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/file.h"

namespace sluice {
namespace {

constexpr size_t kMostBytes = size_t{16} << 20;

std::string text_of(const std::filesystem::path& path) {
    if (!std::filesystem::exists(path)) return "";
    return read_file(path, int(Exit::disk), kMostBytes, Links::follow);
}

}  // namespace

void keep_config(const std::filesystem::path& folder, const std::string& yaml) {
    const std::string before = text_of(folder / "config.yaml");
    if (before == yaml) return;
    if (!before.empty()) {
        const auto earlier = [&](int n) { return folder / fmt::format("config.{}.yaml", n); };
        int n = 1;
        while (std::filesystem::exists(earlier(n))) n++;
        // An earlier start may have ended between the two writes.
        if (n == 1 || text_of(earlier(n - 1)) != before) write_file(earlier(n), before);
    }
    write_file(folder / "config.yaml", yaml);
}

}  // namespace sluice
