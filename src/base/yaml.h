// YAML as configs need it: maps, lists and scalars with their place in the file. Everything that could surprise is
// refused: duplicate keys, anchors and aliases, tags, merge keys, several documents, tabs in indentation, bytes that
// are not UTF-8. Errors: Failure(Exit::config), "FILE:LINE:COLUMN: what".
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace sluice {

struct YamlNode {
    enum Kind { null, scalar, list, map } kind = null;
    std::string text;  // of a scalar
    bool quoted = false;
    std::vector<YamlNode> items;                           // of a list
    std::vector<std::pair<std::string, YamlNode>> fields;  // of a map, in order
    std::string origin;                                    // "FILE:LINE:COLUMN", from 1

    YamlNode* find(const std::string& key);
    static YamlNode empty(Kind kind, std::string origin);
};

YamlNode parse_yaml(const std::string& text, const std::string& file);

}  // namespace sluice
