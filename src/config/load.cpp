#include "config/load.h"

#include <charconv>
#include <cmath>
#include <filesystem>
#include <functional>
#include <set>

#include "base/check.h"
#include "base/file.h"
#include "base/yaml.h"
#include "config/refuse.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr int kDeepestBase = 8;

// ---------------------------------------------------------------- layers of files and overrides
// Maps are merged key by key; all else is replaced whole.
void merge(YamlNode& under, YamlNode over) {
    if (under.kind != YamlNode::map || over.kind != YamlNode::map) {
        under = std::move(over);
        return;
    }
    for (auto& [key, node] : over.fields)
        if (YamlNode* there = under.find(key))
            merge(*there, std::move(node));
        else
            under.fields.emplace_back(key, std::move(node));
}

YamlNode load_layers(const std::string& text, const std::string& file, int depth);

YamlNode read_layers(const std::string& file, int depth) {
    return load_layers(read_file(file, int(Exit::config), size_t{1} << 20), file, depth);
}

YamlNode load_layers(const std::string& text, const std::string& file, int depth) {
    YamlNode node = parse_yaml(text, file);
    if (node.kind == YamlNode::null) node.kind = YamlNode::map;
    if (node.kind != YamlNode::map) fail(Exit::config, file + ": a config is a map of keys");
    YamlNode* base = node.find("base");
    if (!base) return node;
    if (base->kind != YamlNode::scalar) fail(Exit::config, base->origin + ": base: the path of another config");
    if (depth >= kDeepestBase) fail(Exit::config, base->origin + ": base: more than 8 files deep, or a circle");
    const fs::path path = fs::path(file).parent_path() / base->text;  // relative to the file that names it
    if (!fs::exists(path)) fail(Exit::config, base->origin + ": base: no such file: " + path.string());
    YamlNode under = read_layers(path.lexically_normal().string(), depth + 1);
    std::erase_if(node.fields, [](const auto& field) { return field.first == "base"; });
    merge(under, std::move(node));
    return under;
}

void set_origin(YamlNode& node, const std::string& origin) {
    node.origin = origin;
    for (auto& item : node.items) set_origin(item, origin);
    for (auto& [key, field] : node.fields) set_origin(field, origin);
}

// "a.b.0.c=VALUE", the value in YAML's flow style.
void apply_override(YamlNode& root, const std::string& text) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) fail(Exit::config, "command line: '" + text + "' is not key=value");
    YamlNode value = parse_yaml(text.substr(equals + 1), "command line: " + text);
    set_origin(value, "command line");
    YamlNode* node = &root;
    std::string path = text.substr(0, equals);
    for (size_t begin = 0; begin <= path.size();) {
        const size_t end = std::min(path.find('.', begin), path.size());
        const std::string key = path.substr(begin, end - begin);
        if (node->kind == YamlNode::list) {
            size_t index = 0;
            const auto [at, error] = std::from_chars(key.data(), key.data() + key.size(), index);
            if (error != std::errc() || at != key.data() + key.size() || index >= node->items.size())
                fail(Exit::config, "command line: " + text + ": the list has no element '" + key + "'");
            node = &node->items[index];
        } else {
            if (node->kind != YamlNode::map) *node = YamlNode::empty(YamlNode::map, "command line");
            if (!node->find(key)) node->fields.emplace_back(key, YamlNode::empty(YamlNode::null, "command line"));
            node = node->find(key);
        }
        begin = end + 1;
    }
    *node = std::move(value);
}

// ---------------------------------------------------------------- from tree to specs
size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); j++) row[j] = j;
    for (size_t i = 1; i <= a.size(); i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); j++) {
            const size_t above = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
            diagonal = above;
        }
    }
    return row[b.size()];
}

class Loader {
 public:
    explicit Loader(std::map<std::string, std::string>& origins) : origins_(origins) {}

    template <class S>
    void spec(YamlNode* node, S& s, const std::string& path) {
        if (node && node->kind == YamlNode::null) node = nullptr;
        if (node && node->kind != YamlNode::map) wrong(*node, path, "a map of keys");
        std::vector<std::string> known;
        s.fields([&](const char* key, auto& field, const char*) {
            known.push_back(key);
            value(node ? node->find(key) : nullptr, field, path.empty() ? key : path + "." + key);
        });
        if (!node) return;
        for (const auto& [key, child] : node->fields)
            if (std::find(known.begin(), known.end(), key) == known.end())
                unknown(child, path.empty() ? key : path + "." + key, key, known);
    }

 private:
    [[noreturn]] static void wrong(const YamlNode& node, const std::string& path, const std::string& expected) {
        const std::string given = node.kind == YamlNode::scalar ? "'" + node.text + "'"
                                  : node.kind == YamlNode::list ? "a list"
                                  : node.kind == YamlNode::map  ? "a map"
                                                                : "nothing";
        fail(Exit::config, node.origin + ": " + path + ": " + given + " is not " + expected);
    }
    [[noreturn]] static void unknown(const YamlNode& node, const std::string& path, const std::string& key,
                                     const std::vector<std::string>& known) {
        const std::string* nearest = nullptr;
        for (const auto& k : known)
            if (!nearest || edit_distance(key, k) < edit_distance(key, *nearest)) nearest = &k;
        std::string line = node.origin + ": " + path + ": unknown key";
        if (nearest) line += " (did you mean '" + *nearest + "'?)";
        fail(Exit::config, line);
    }

    void origin(const YamlNode* node, const std::string& path) { origins_[path] = node ? node->origin : "default"; }

    template <class T>
    void value(YamlNode* node, T& field, const std::string& path) {
        if constexpr (requires { field.fields([](const char*, auto&, const char*) {}); }) {
            spec(node, field, path);
        } else {
            origin(node, path);
            if (node) read(*node, field, path);
        }
    }
    template <class T>
    void value(YamlNode* node, std::vector<T>& field, const std::string& path) {
        origin(node, path);
        if (!node) return;
        if (node->kind != YamlNode::list) wrong(*node, path, "a list");
        field.assign(node->items.size(), T());
        for (size_t i = 0; i < field.size(); i++) value(&node->items[i], field[i], path + "." + std::to_string(i));
    }
    void value(YamlNode* node, GateMap& gates, const std::string& path) {
        origin(node, path);
        if (!node || node->kind == YamlNode::null) return;
        if (node->kind == YamlNode::list) {
            gates.ranges.emplace_back();
            value(node, gates.ranges[0].gates, path);
            return;
        }
        if (node->kind != YamlNode::map) wrong(*node, path, "a list of gates, or a map of layer ranges to lists");
        gates.per_layer = true;
        for (auto& [key, child] : node->fields) {
            GateMap::Range range;
            if (!parse_range(key, range.first, range.last))
                fail(Exit::config,
                     child.origin + ": " + path + ": '" + key + "' is not a range of layers such as 0-11 or 12");
            value(&child, range.gates, path + "." + key);
            gates.ranges.push_back(std::move(range));
        }
        std::sort(gates.ranges.begin(), gates.ranges.end(),
                  [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    template <class T>
    void value(YamlNode* node, std::optional<T>& field, const std::string& path) {
        origin(node, path);
        if (!node || node->kind == YamlNode::null) return;
        field.emplace();
        read(*node, *field, path);
    }

    static bool parse_range(const std::string& text, int64_t& first, int64_t& last) {
        const char* end = text.data() + text.size();
        auto [at, error] = std::from_chars(text.data(), end, first);
        last = first;
        if (error == std::errc() && at != end && *at == '-')
            std::tie(at, error) = [&] {
                const auto r = std::from_chars(at + 1, end, last);
                return std::pair(r.ptr, r.ec);
            }();
        return error == std::errc() && at == end && first >= 0 && last >= first;
    }

    void read(const YamlNode& node, std::string& field, const std::string& path) {
        if (node.kind != YamlNode::scalar && node.kind != YamlNode::null) wrong(node, path, "text");
        field = node.text;
    }
    void read(const YamlNode& node, bool& field, const std::string& path) {
        if (node.text != "true" && node.text != "false") wrong(node, path, "true or false");
        field = node.text == "true";
    }
    void read(const YamlNode& node, int64_t& field, const std::string& path) {
        const std::string& text = node.text;
        const size_t digits = text.size() > 0 && text[0] == '-';
        const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), field);
        const bool octal = text.size() > digits + 1 && text[digits] == '0';  // 010 is ten to some and eight to others
        if (node.kind != YamlNode::scalar || error != std::errc() || at != text.data() + text.size() || octal)
            wrong(node, path, "a whole number");
    }
    void read(const YamlNode& node, double& field, const std::string& path) {
        const std::string& text = node.text;
        const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), field);
        if (node.kind != YamlNode::scalar || error != std::errc() || at != text.data() + text.size() ||
            !std::isfinite(field))
            wrong(node, path, "a number");
    }
    template <Worded E>
    void read(const YamlNode& node, E& field, const std::string& path) {
        if (node.kind != YamlNode::scalar || !from_word(node.text, field))
            wrong(node, path, "one of " + all_words<E>());
    }

    std::map<std::string, std::string>& origins_;
};

// ---------------------------------------------------------------- defaults that hang on other keys
bool given(const Loaded& loaded, const std::string& path) {
    const auto it = loaded.origins.find(path);
    return it != loaded.origins.end() && it->second != "default";
}

void require(const Loaded& loaded, const std::string& file, Purpose purpose) {
    std::vector<std::string> needed{"model.layers", "model.hidden",         "model.heads",
                                    "model.vocab",  "data.sequence_length", "train.batch"};
    if (loaded.config.model.moe.experts == 0)
        needed.push_back("model.ffn.hidden");
    else
        needed.insert(needed.end(), {"model.moe.top_k", "model.moe.hidden"});
    if (purpose == Purpose::train) needed.insert(needed.end(), {"data.train", "train.steps", "optimizer.lr"});
    for (const auto& path : needed)
        if (!given(loaded, path)) fail(Exit::config, file + ": " + path + " is required");
}

void fill_defaults(Loaded& loaded, const std::string& file) {
    ModelSpec& m = loaded.config.model;
    if (!given(loaded, "model.kv_heads")) m.kv_heads = m.heads;
    if (!given(loaded, "model.head_dim") && m.heads > 0) {
        if (m.hidden % m.heads != 0)
            fail(Exit::config, file + ": model.head_dim: hidden " + std::to_string(m.hidden) +
                                   " is not divisible by heads " + std::to_string(m.heads) + "; give head_dim");
        m.head_dim = m.hidden / m.heads;
    }
    if (!given(loaded, "run.name")) loaded.config.run.name = fs::path(file).stem().string();
}

Loaded load_tree(YamlNode tree, const std::string& file, const std::vector<std::string>& overrides, Purpose purpose) {
    for (const auto& text : overrides) apply_override(tree, text);
    Loaded loaded;
    Loader(loaded.origins).spec(&tree, loaded.config, "");
    require(loaded, file, purpose);
    fill_defaults(loaded, file);
    refuse(loaded, file, purpose);
    return loaded;
}

}  // namespace

Loaded load_config(const std::string& file, const std::vector<std::string>& overrides, Purpose purpose) {
    return load_tree(read_layers(file, 0), file, overrides, purpose);
}

Loaded load_config_text(const std::string& text, const std::string& name, const std::vector<std::string>& overrides,
                        Purpose purpose) {
    return load_tree(load_layers(text, name, 0), name, overrides, purpose);
}

void resolve_ranks(Config& config, int ranks) {
    TrainSpec& t = config.train;
    const auto refuse = [&](int64_t parts, const std::string& of) {
        const int64_t below = t.batch / parts * parts;
        fail(Exit::config, "train.batch: " + std::to_string(t.batch) + " sequences are not divisible by " + of +
                               "; nearest: " + (below > 0 ? std::to_string(below) + " or " : "") +
                               std::to_string(below + parts));
    };
    if (t.micro_batch == 0) {
        if (t.batch % ranks != 0) refuse(ranks, std::to_string(ranks) + " data-parallel ranks");
        t.micro_batch = t.batch / ranks;
    }
    if (t.batch % (t.micro_batch * ranks) != 0)
        refuse(t.micro_batch * ranks,
               "micro_batch " + std::to_string(t.micro_batch) + " x " + std::to_string(ranks) + " data-parallel ranks");
}

}  // namespace sluice
