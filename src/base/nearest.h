// The known word closest to a misspelt one, by edit distance.
#pragma once
#include <string>
#include <vector>

namespace sluice {

// The known word that was probably meant; empty: none is near. Near are words that differ by one letter, or by up to a
// third of the letters, inserted, left out, replaced or swapped with the next; and words of which one is a component of
// the other ("warmup" of "warmup_steps", "eval" of "evaluate"). The smallest distance wins, among equals the first
// word.
std::string nearest(const std::string& word, const std::vector<std::string>& known);

// The dotted path whose last key is the word, else the one whose last key is near to it; empty: none.
std::string nearest_path(const std::string& word, const std::vector<std::string>& paths);

// " (did you mean 'WORD'?)"; empty for an empty word.
std::string did_you_mean(const std::string& word);

}  // namespace sluice
