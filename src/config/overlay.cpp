// Maps are merged key by key. Lists, scalars and maps of layer ranges are replaced whole: ranges of two maps may
// overlap.
#include "config/overlay.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/check.h"
#include "base/format.h"
#include "config/per_layer.h"
#include "config/visit.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr size_t kMaxBaseDepth = 8;
constexpr char kGates[] = "model.gates";

// An empty section over a section changes nothing: `model:` with every key commented out.
void merge(Node& under, Node over, const std::string& path) {
    const bool section = under.kind == Node::Kind::map && path != kGates;
    if (section && over.kind == Node::Kind::null && over.mark.line > 0) return;
    if (!section || over.kind != Node::Kind::map || holds_ranges(under) || holds_ranges(over)) {
        over.key = under.key;
        over.key_mark = over.key_mark.source ? over.key_mark : under.key_mark;
        under = std::move(over);
        return;
    }
    for (auto& child : over.children) {
        const std::string at = join(path, child.key);
        if (Node* there = under.find(child.key))
            merge(*there, std::move(child), at);
        else
            under.children.push_back(std::move(child));
    }
}

void require_map(Node& root, const std::string& file, Diagnostics& diagnostics) {
    if (root.kind == Node::Kind::null) root.kind = Node::Kind::map;
    if (root.kind != Node::Kind::map) diagnostics.stop(root.mark, printable(file) + " is not a map of keys");
}

Node over_base(Node root, const std::string& file, std::vector<fs::path>& chain, Diagnostics& diagnostics) {
    require_map(root, file, diagnostics);
    const Node* found = root.find("base");
    if (!found) return root;
    const Node base = *found;
    const auto stop = [&](const std::string& what) { diagnostics.stop(base.mark, "base: " + what); };
    if (base.kind != Node::Kind::scalar || base.text.empty()) stop("give the path of a config");
    const fs::path path = (fs::path(file).parent_path() / base.text).lexically_normal();
    std::error_code error;
    const fs::path canonical = fs::weakly_canonical(path, error);
    if (std::find(chain.begin(), chain.end(), canonical) != chain.end())
        stop(printable(base.text) + " is based on this file: a cycle");
    if (chain.size() > kMaxBaseDepth) stop("more than 8 files deep");
    if (!fs::is_regular_file(path, error)) stop("no such file: " + printable(path.string()));
    chain.push_back(canonical);
    Node under = over_base(read_yaml(path, diagnostics), path.string(), chain, diagnostics);
    std::erase_if(root.children, [](const Node& child) { return child.key == "base"; });
    merge(under, std::move(root), "");
    return under;
}

std::vector<std::string> split(const std::string& path) {
    std::vector<std::string> keys(1);
    for (const char c : path)
        if (c == '.')
            keys.emplace_back();
        else
            keys.back() += c;
    return keys;
}

bool is_index(const std::string& key) {
    return !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) { return c >= '0' && c <= '9'; });
}

// The list element that a key of an override names; null: `why` says why there is none.
Node* element(Node& list, const std::string& key, const std::string& path, std::string& why) {
    size_t index = 0;
    const auto [stop, error] = std::from_chars(key.data(), key.data() + key.size(), index);
    if (is_index(key) && error == std::errc() && index < list.children.size()) return &list.children[index];
    why = printable(path) + " is a list of " + std::to_string(list.children.size()) + ": it has no element " +
          in_quotes(key);
    return nullptr;
}

// The node of a map's key, added if missing: an unknown key is reported when the tree is read.
Node* entry(Node& map, const std::string& key, const Mark& mark, const std::string& path, std::string& why) {
    if (Node* there = map.find(key)) return there;
    if (map.kind == Node::Kind::scalar) why = printable(path) + " is a single value, not a map";
    if (map.kind == Node::Kind::null && is_index(key))
        why = printable(path) + " has no element " + in_quotes(key) + ": give the whole list";
    if (!why.empty()) return nullptr;
    if (map.kind == Node::Kind::null) map.kind = Node::Kind::map, map.mark = mark;
    Node child;
    child.key = key;
    child.mark = child.key_mark = mark;
    map.children.push_back(child);
    return &map.children.back();
}

}  // namespace

void overlay(Node& under, Node over) { merge(under, std::move(over), ""); }

Node over_base(Node root, const std::string& file, Diagnostics& diagnostics) {
    std::error_code error;
    std::vector<fs::path> chain{fs::weakly_canonical(file, error)};
    return over_base(std::move(root), file, chain, diagnostics);
}

void apply_override(Node& root, const std::string& text, Diagnostics& diagnostics, const std::string& place) {
    const std::string source = place + ": " + printable(text);
    const Mark mark{std::make_shared<const std::string>(source), 0, 0};
    const size_t equals = text.find('=');
    const std::string path = text.substr(0, equals);
    const std::vector<std::string> keys = split(path);
    if (equals == std::string::npos || std::find(keys.begin(), keys.end(), "") != keys.end())
        return diagnostics.add(mark, "not an override: write key=value, as in optimizer.lr=4e-3");
    if (keys[0] == "base") return diagnostics.add(mark, "base can be given in a file only");
    if (keys.size() > size_t(kMaxYamlDepth)) return diagnostics.add(mark, "no key is nested that deep");
    Node value;
    try {
        value = parse_yaml_value(text.substr(equals + 1), source, diagnostics);
    } catch (const Failure&) { return; }                                                  // reported
    if (equals + 1 == text.size()) value.kind = Node::Kind::scalar, value.quoted = true;  // KEY= is an empty text
    Node* node = &root;
    std::string at, why;
    for (auto& key : keys) {
        node = node->kind == Node::Kind::list ? element(*node, key, at, why) : entry(*node, key, mark, at, why);
        if (!node) return diagnostics.add(mark, why);
        at = join(at, key);
    }
    value.key_mark = value.mark;
    merge(*node, std::move(value), path);
}

}  // namespace sluice
