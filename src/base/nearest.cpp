#include "base/nearest.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

// How many letters to insert, remove, replace, or swap with the next. row[j] is the distance of the first i letters of
// a from the first j of b; `above` and `before` are the rows of i - 1 and i - 2.
size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<size_t> before, above, row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); j++) row[j] = j;
    for (size_t i = 1; i <= a.size(); i++) {
        before = std::exchange(above, row);
        row[0] = i;
        for (size_t j = 1; j <= b.size(); j++) {
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
    }
    return row[b.size()];
}

// Whether `part`, of three letters or more, is in `whole` at the start of a component, as "steps" in "warmup_steps".
bool is_part(const std::string& part, const std::string& whole) {
    if (part.size() < 3) return false;
    for (size_t at = whole.find(part); at != std::string::npos; at = whole.find(part, at + 1))
        if (at == 0 || whole[at - 1] == '_' || whole[at - 1] == '-' || whole[at - 1] == '.') return true;
    return false;
}

bool is_near(const std::string& word, const std::string& known, size_t distance) {
    if (is_part(word, known) || is_part(known, word)) return true;
    return distance < word.size() && distance <= std::max<size_t>(1, word.size() / 3);
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& known) {
    std::string best;
    size_t least = std::string::npos;
    for (const std::string& candidate : known) {
        const size_t distance = edit_distance(word, candidate);
        if (distance >= least || !is_near(word, candidate, distance)) continue;
        least = distance;
        best = candidate;
    }
    return best;
}

std::string nearest_path(const std::string& word, const std::vector<std::string>& paths) {
    std::vector<std::string> last_parts;
    for (const std::string& path : paths) last_parts.push_back(last_part(path));
    const auto found = std::find(last_parts.begin(), last_parts.end(), nearest(word, last_parts));
    return found == last_parts.end() ? "" : paths[size_t(found - last_parts.begin())];
}

std::string did_you_mean(const std::string& word) { return word.empty() ? "" : " (did you mean '" + word + "'?)"; }

}  // namespace sluice
