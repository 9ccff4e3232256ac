// The word that was meant.
#pragma once
#include <string>
#include <vector>

namespace sluice {

// The known word nearest to `word` by edit distance; known: not empty.
std::string nearest(const std::string& word, const std::vector<std::string>& known);

// What is wrong with a program's first argument where that is no option and none of the commands; else empty.
std::string unknown_command(int argc, char** argv, const std::vector<std::string>& commands);

}  // namespace sluice
