// The word that was meant.
#pragma once
#include <string>
#include <vector>

namespace sluice {

// The known word nearest to `word` by edit distance; known: not empty.
std::string nearest(const std::string& word, const std::vector<std::string>& known);

}  // namespace sluice
