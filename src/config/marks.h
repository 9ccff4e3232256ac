// Where the values of a config stand, by dotted path: what error messages and origins are made of.
#pragma once
#include <map>
#include <string>

#include "base/yaml.h"

namespace sluice {

struct Marks {
    std::string file;                // of the config itself: where a missing key is missed
    std::map<std::string, Mark> at;  // of every key that was given, maps and lists included

    bool given(const std::string& path) const { return at.count(path) > 0; }
    std::string origin(const std::string& path) const;  // "default", "FILE:LINE:COLUMN" or "command line"
    // "ORIGIN: path: what". A path that was not given is looked for at the map around it.
    [[noreturn]] void refuse(const std::string& path, const std::string& what) const;
};

constexpr char kCommandLine[] = "command line";
// "FILE:LINE:COLUMN: path: ", or "command line: KEY=VALUE: " where KEY is the path.
std::string located(const Mark& mark, const std::string& path);

// The known key nearest to `key` by edit distance.
std::string nearest(const std::string& key, const std::vector<std::string>& known);

}  // namespace sluice
