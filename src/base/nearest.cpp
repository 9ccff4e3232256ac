#include "base/nearest.h"

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

std::string nearest(const std::string& word, const std::vector<std::string>& known) {
    check(!known.empty(), "no words to choose from");
    return *std::min_element(known.begin(), known.end(), [&](const std::string& a, const std::string& b) {
        return edit_distance(word, a) < edit_distance(word, b);
    });
}

}  // namespace sluice
