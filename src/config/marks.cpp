#include "config/marks.h"

#include <algorithm>

#include "base/check.h"

namespace sluice {
namespace {

// Letters to insert, remove or replace. A part of a longer key ("warmup") is as near to it as a typing error.
size_t edit_distance(const std::string& a, const std::string& b) {
    if (a.size() >= 3 && b.find(a) != std::string::npos) return 1;
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); j++) row[j] = j;
    for (size_t i = 1; i <= a.size(); i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); j++) {
            const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
        }
    }
    return row[b.size()];
}

}  // namespace

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

std::string nearest(const std::string& key, const std::vector<std::string>& known) {
    check(!known.empty(), "a spec without keys");
    return *std::min_element(known.begin(), known.end(), [&](const std::string& a, const std::string& b) {
        return edit_distance(key, a) < edit_distance(key, b);
    });
}

}  // namespace sluice
