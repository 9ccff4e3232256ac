// The word that was meant.
#pragma once
#include <string>
#include <vector>

namespace sluice {

// The known word that is near enough to be meant: a letter, or one in three, inserted, left out, replaced or exchanged
// with the next; or one word is a part of the other ("warmup" of "warmup_steps", "eval" of "evaluate"). Of several the
// nearest, of equals the first; empty: none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& known);

// The dotted path whose last part is the word, else the one whose last part is near to it; empty: none.
std::string nearest_path(const std::string& word, const std::vector<std::string>& paths);

// " (did you mean 'WORD'?)"; nothing for an empty word.
std::string did_you_mean(const std::string& word);

}  // namespace sluice
