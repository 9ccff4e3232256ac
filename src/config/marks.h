// The place of each value of a config, by dotted path, and the errors and warnings about them.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/yaml.h"

namespace sluice {

struct Marks {
    std::string file;                // the config's own file: the place of missing keys
    int first_line = 1;              // 0: the config has no lines of its own
    std::map<std::string, Mark> at;  // of every key that was given, maps and lists included
    std::set<std::string> failed;    // paths with an error
    Diagnostics diagnostics;
    std::vector<std::string> warnings;  // "ORIGIN: path: what"

    bool given(const std::string& path) const { return at.count(path) > 0; }
    // True if no error was reported for this path, its parents or its children: its value can be validated further.
    bool ok(const std::string& path) const;
    std::string origin(const std::string& path) const;  // "default", "FILE:LINE:COLUMN", "MANIFEST" or "command line"
    // Reports "ORIGIN: path: what". A path that was not given has the place of the map around it.
    void error(const std::string& path, const std::string& what);
    void error(const Mark& mark, const std::string& path, const std::string& what);
    void warn(const std::string& path, const std::string& what);

 private:
    Mark mark_of(const std::string& path) const;  // of the path, or of the map around it
    static std::string message(const Mark& mark, const std::string& path, const std::string& what);
};

constexpr char kCommandLine[] = "command line";

}  // namespace sluice
