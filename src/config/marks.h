// Where the values of a config stand, by dotted path, and what is wrong with them: what error messages and origins are
// made of.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/yaml.h"

namespace sluice {

struct Marks {
    std::string file;                // of the config itself: where a missing key is missed
    int first_line = 1;              // 0: the config has no lines of its own
    std::map<std::string, Mark> at;  // of every key that was given, maps and lists included
    std::set<std::string> refused;   // paths that were complained of
    Complaints complaints;
    std::vector<std::string> warnings;  // what is odd, but can be: "ORIGIN: path: what"

    bool given(const std::string& path) const { return at.count(path) > 0; }
    // Nothing was said against the path, what is in it or what it is in: its value can be judged further.
    bool sound(const std::string& path) const;
    std::string origin(const std::string& path) const;  // "default", "FILE:LINE:COLUMN", "MANIFEST" or "command line"
    // Complains "ORIGIN: path: what". A path that was not given is looked for at the map around it.
    void refuse(const std::string& path, const std::string& what);
    void refuse(const Mark& mark, const std::string& path, const std::string& what);
    void warn(const std::string& path, const std::string& what);

 private:
    Mark mark_of(const std::string& path) const;  // of the path, or of the map around it
    static std::string told(const Mark& mark, const std::string& path, const std::string& what);
};

constexpr char kCommandLine[] = "command line";

}  // namespace sluice
