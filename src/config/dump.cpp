// A Config as YAML, JSON and pairs of path and text, each a walk over the same tree.
#include <algorithm>

#include "base/check.h"
#include "base/json.h"
#include "config/load.h"
#include "config/scalar.h"
#include "config/tree.h"
#include "config/visit.h"

namespace sluice {
namespace {

bool is_leaf(const Node& node) { return node.children.empty(); }

// Empty lists and maps are leaves too.
std::string leaf_text(const Node& node) {
    if (node.kind == Node::Kind::list) return "[]";
    if (node.kind == Node::Kind::map) return "{}";
    return scalar_text(node);
}

template <class Visit>
void walk_leaves(const Node& node, const std::string& path, const Visit& visit) {
    if (is_leaf(node)) return visit(path, leaf_text(node));
    for (size_t i = 0; i < node.children.size(); i++) {
        const Node& child = node.children[i];
        walk_leaves(child, node.kind == Node::Kind::map ? join(path, child.key) : join(path, i), visit);
    }
}

struct Line {
    std::string text, path;  // path: of a leaf
};

// `lead` is written before a map's first key: the dash of the list that it is an element of.
void yaml_lines(const Node& node, const std::string& path, const std::string& indent, std::string lead,
                std::vector<Line>& lines) {
    const bool map = node.kind == Node::Kind::map;
    for (size_t i = 0; i < node.children.size(); i++) {
        const Node& child = node.children[i];
        const std::string at = map ? join(path, child.key) : join(path, i);
        const std::string head = (lead.empty() ? indent : lead) + (map ? yaml_string(child.key) + ":" : "-");
        lead.clear();
        if (is_leaf(child)) {
            lines.push_back({head + " " + leaf_text(child), at});
        } else if (map) {
            lines.push_back({head, ""});
            yaml_lines(child, at, indent + "  ", "", lines);
        } else {
            yaml_lines(child, at, indent + "  ", head + " ", lines);
        }
    }
}

Json json(const Node& node) {
    if (node.kind == Node::Kind::map) {
        auto object = Json::object();
        for (auto& child : node.children) object[child.key] = json(child);
        return object;
    }
    if (node.kind == Node::Kind::list) {
        auto array = Json::array();
        for (auto& child : node.children) array.push_back(json(child));
        return array;
    }
    if (node.kind == Node::Kind::null) return nullptr;
    if (node.quoted) return node.text;
    return parse_json(node.text);
}

}  // namespace

std::string dump_yaml(const Config& config) {
    std::vector<Line> lines;
    yaml_lines(to_tree(config), "", "", "", lines);
    std::string text;
    for (auto& line : lines) text += line.text + "\n";
    return text;
}

std::string dump_yaml_with_origins(const Loaded& loaded) {
    std::vector<Line> lines;
    yaml_lines(to_tree(loaded.config), "", "", "", lines);
    constexpr size_t kColumn = 40;
    std::string text;
    for (auto& [line, path] : lines) {
        text += line;
        const auto origin = loaded.origins.find(path);
        if (origin != loaded.origins.end())
            text += std::string(line.size() < kColumn ? kColumn - line.size() : 2, ' ') + "# " + origin->second;
        text += "\n";
    }
    return text;
}

std::string dump_json(const Config& config) { return json(to_tree(config)).dump(); }

std::string dump_json_with_origins(const Loaded& loaded) {
    Json object = json(to_tree(loaded.config));
    auto& origins = object["origins"] = Json::object();
    for (auto& [path, text] : flatten(loaded.config)) {
        const auto origin = loaded.origins.find(path);
        origins[path] = origin == loaded.origins.end() ? "default" : origin->second;
    }
    object["warnings"] = loaded.warnings;
    return object.dump();
}

std::vector<std::pair<std::string, std::string>> flatten(const Config& config) {
    std::vector<std::pair<std::string, std::string>> leaves;
    walk_leaves(to_tree(config), "",
                [&](const std::string& path, const std::string& text) { leaves.emplace_back(path, text); });
    return leaves;
}

Change change_of(const std::string& path) {
    Change change = Change::by_key;
    walk_keys(Config{}, "", [&](const std::string& at, auto&, const char*, const Attributes& attributes) {
        const size_t n = at.find(".N.");  // N is 0, or with ranges of layers 0-11.0
        const bool named = n == std::string::npos
                               ? path == at || path.starts_with(at + ".")
                               : path.starts_with(at.substr(0, n + 1)) && path.ends_with(at.substr(n + 2));
        if (named)
            change = attributes.changes;  // the last match is the key itself, after the sections and lists around it
    });
    check(change != Change::by_key, "not a leaf of a config");
    return change;
}

}  // namespace sluice
