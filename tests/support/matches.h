// Where a text matches an extended POSIX regular expression; `.` is any character of a line.
// (g++ 12 takes parts of <regex> for uninitialised under sanitizers.)
#pragma once
#include <regex.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace sluice {

// The first match and its groups; empty: there is none.
inline std::vector<std::string> find_match(const std::string& text, const std::string& pattern) {
    regex_t compiled;
    if (regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NEWLINE) != 0) throw std::invalid_argument(pattern);
    std::vector<regmatch_t> places(compiled.re_nsub + 1);
    std::vector<std::string> found;
    if (regexec(&compiled, text.c_str(), places.size(), places.data(), 0) == 0)
        for (const regmatch_t& coord : places)
            found.push_back(coord.rm_so < 0 ? "" : text.substr(size_t(coord.rm_so), size_t(coord.rm_eo - coord.rm_so)));
    regfree(&compiled);
    return found;
}

inline bool matches(const std::string& text, const std::string& pattern) { return !find_match(text, pattern).empty(); }

}  // namespace sluice
