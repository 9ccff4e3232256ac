#include "config/marks.h"

#include <algorithm>

namespace sluice {

bool Marks::sound(const std::string& path) const {
    const auto within = [](const std::string& inner, const std::string& outer) {
        return inner == outer || inner.starts_with(outer + ".");
    };
    return std::none_of(refused.begin(), refused.end(),
                        [&](const std::string& wrong) { return within(wrong, path) || within(path, wrong); });
}

std::string Marks::origin(const std::string& path) const {
    const auto it = at.find(path);
    if (it == at.end()) return "default";
    return it->second.line > 0 ? where(it->second) : kCommandLine;
}

void Marks::refuse(const Mark& mark, const std::string& path, const std::string& what) {
    // "command line: KEY=VALUE" has named the key already.
    const bool named = mark.line == 0 && where(mark).starts_with(std::string(kCommandLine) + ": " + path + "=");
    complaints.add(mark, (named || path.empty() ? "" : path + ": ") + what);
    refused.insert(path);
}

void Marks::refuse(const std::string& path, const std::string& what) {
    for (std::string around = path;;) {
        if (const auto it = at.find(around); it != at.end()) return refuse(it->second, path, what);
        const size_t dot = around.rfind('.');
        if (dot == std::string::npos) break;
        around.resize(dot);
    }
    refuse(Mark{std::make_shared<const std::string>(file), 1, 1}, path, what);
}

}  // namespace sluice
