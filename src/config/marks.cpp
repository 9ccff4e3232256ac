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
    const std::string place = where(it->second);
    return it->second.line == 0 && place.starts_with(kCommandLine) ? kCommandLine : place;
}

// "command line: KEY=VALUE" has named the key already.
std::string Marks::told(const Mark& mark, const std::string& path, const std::string& what) {
    const bool named = mark.line == 0 && where(mark).starts_with(std::string(kCommandLine) + ": " + path + "=");
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

void Marks::refuse(const Mark& mark, const std::string& path, const std::string& what) {
    complaints.add(mark, told(mark, path, what));
    refused.insert(path);
}

void Marks::refuse(const std::string& path, const std::string& what) { refuse(mark_of(path), path, what); }

void Marks::warn(const std::string& path, const std::string& what) {
    const Mark mark = mark_of(path);
    warnings.push_back(where(mark) + ": " + told(mark, path, what));
}

}  // namespace sluice
