#include "config/marks.h"

#include <algorithm>

namespace sluice {

bool Marks::ok(const std::string& path) const {
    const auto within = [](const std::string& inner, const std::string& outer) {
        return inner == outer || inner.starts_with(outer + ".");
    };
    return std::none_of(failed.begin(), failed.end(),
                        [&](const std::string& wrong) { return within(wrong, path) || within(path, wrong); });
}

std::string Marks::origin(const std::string& path) const {
    const auto it = at.find(path);
    if (it == at.end()) return "default";
    const std::string place = where(it->second);
    return it->second.line == 0 && place.starts_with(kCommandLine) ? kCommandLine : place;
}

// Without the path where the origin, "command line: KEY=VALUE" or a place in a sweep, names it.
std::string Marks::message(const Mark& mark, const std::string& path, const std::string& what) {
    const bool named = mark.line == 0 && where(mark).find(": " + path + "=") != std::string::npos;
    return (named || path.empty() ? "" : path + ": ") + what;
}

Mark Marks::mark_of(const std::string& path) const {
    for (std::string around = path;;) {
        if (const auto it = at.find(around); it != at.end()) return it->second;
        const size_t dot = around.rfind('.');
        if (dot == std::string::npos) return {std::make_shared<const std::string>(file), first_line, first_line};
        around.resize(dot);
    }
}

void Marks::error(const Mark& mark, const std::string& path, const std::string& what) {
    diagnostics.add(mark, message(mark, path, what));
    failed.insert(path);
}

void Marks::error(const std::string& path, const std::string& what) { error(mark_of(path), path, what); }

void Marks::warn(const std::string& path, const std::string& what) {
    const Mark mark = mark_of(path);
    warnings.push_back(where(mark) + ": " + message(mark, path, what));
}

}  // namespace sluice
