// Configs as text: YAML that loads back, JSON, flat pairs, and the reference. One visitor walks the fields; printers
// differ.
#include <charconv>

#include "config/load.h"

namespace sluice {
namespace {

std::string number(double x) {
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, x).ptr;
    return {text, end};
}

std::string quote(const std::string& text) {
    std::string out = "\"";
    for (unsigned char c : text) {
        if (c == '"' || c == '\\')
            out += {'\\', char(c)};
        else if (c == '\n')
            out += "\\n";
        else if (c == '\t')
            out += "\\t";
        else if (c < 0x20 || c == 0x7f) {
            static const char* kDigits = "0123456789abcdef";
            out += std::string("\\u00") + kDigits[c >> 4] + kDigits[c & 15];
        } else
            out += char(c);
    }
    return out + "\"";
}

std::string leaf(int64_t x) { return std::to_string(x); }
std::string leaf(double x) { return number(x); }
std::string leaf(bool x) { return x ? "true" : "false"; }
std::string leaf(const std::string& x) { return quote(x); }
template <Worded E>
std::string leaf(E x) {
    return to_word(x);
}
template <Worded E>
std::string json_leaf(E x) {
    return quote(to_word(x));
}
template <class T>
requires(!Worded<T>) std::string json_leaf(const T& x) { return leaf(x); }

template <class S>
concept Spec = requires(S s) {
    s.fields([](const char*, auto&, const char*) {});
};

std::string range_key(const GateMap::Range& r) {
    return std::to_string(r.first) + (r.last == r.first ? "" : "-" + std::to_string(r.last));
}

// Calls out.leaf(path, value), and out.open / out.close around maps and lists.
template <class Out>
class Walker {
 public:
    explicit Walker(Out& out) : out_(out) {}
    template <Spec S>
    void walk(const std::string& key, S& s, const std::string& path) {
        out_.open(key, path, '{', true);
        s.fields([&](const char* name, auto& field, const char*) {
            walk(name, field, path.empty() ? name : path + "." + name);
        });
        out_.close('}');
    }
    template <class T>
    void walk(const std::string& key, std::vector<T>& list, const std::string& path) {
        out_.open(key, path, '[', !list.empty());
        for (size_t i = 0; i < list.size(); i++) walk("", list[i], path + "." + std::to_string(i));
        out_.close(']');
    }
    void walk(const std::string& key, GateMap& gates, const std::string& path) {
        std::vector<GateSpec> none;
        if (!gates.per_layer) return walk(key, gates.ranges.empty() ? none : gates.ranges[0].gates, path);
        out_.open(key, path, '{', !gates.ranges.empty());
        for (auto& range : gates.ranges) walk(range_key(range), range.gates, path + "." + range_key(range));
        out_.close('}');
    }
    template <class T>
    void walk(const std::string& key, std::optional<T>& value, const std::string& path) {
        if (value)
            out_.leaf(key, path, leaf(*value), json_leaf(*value));
        else
            out_.absent(key, path);
    }
    template <class T>
    requires(!Spec<T>) void walk(const std::string& key, T& value, const std::string& path) {
        out_.leaf(key, path, leaf(value), json_leaf(value));
    }

 private:
    Out& out_;
};

struct YamlOut {
    const std::map<std::string, std::string>* origins = nullptr;
    std::string text;
    int depth = -1;
    std::vector<char> kinds;
    bool dash = false;

    std::string indent() {
        std::string space(size_t(2 * std::max(depth, 0)), ' ');
        if (dash) space.replace(space.size() - 2, 2, "- ");
        dash = false;
        return space;
    }
    std::string note(const std::string& path) const {
        if (!origins) return "";
        const auto it = origins->find(path);
        return "  # " + (it == origins->end() ? "default" : it->second);
    }
    void open(const std::string& key, const std::string& path, char kind, bool filled) {
        if (!key.empty()) {
            text += indent() + key + ":" + (filled ? "" : kind == '[' ? " []" + note(path) : " {}" + note(path)) + "\n";
        } else if (!kinds.empty()) {
            dash = true;
        }
        kinds.push_back(kind);
        depth++;
    }
    void close(char) {
        kinds.pop_back();
        depth--;
    }
    void leaf(const std::string& key, const std::string& path, const std::string& value, const std::string&) {
        text += indent() + (key.empty() ? "- " : key + ": ") + value + note(path) + "\n";
    }
    void absent(const std::string&, const std::string&) {}
};

struct JsonOut {
    std::string text;
    bool first = true;
    void name(const std::string& key) {
        if (!first) text += ", ";
        first = false;
        if (!key.empty()) text += quote(key) + ": ";
    }
    void open(const std::string& key, const std::string&, char kind, bool) {
        name(key);
        text += kind;
        first = true;
    }
    void close(char kind) {
        text += kind;
        first = false;
    }
    void leaf(const std::string& key, const std::string&, const std::string&, const std::string& json) {
        name(key);
        text += json;
    }
    void absent(const std::string& key, const std::string&) {
        name(key);
        text += "null";
    }
};

struct FlatOut {
    std::vector<std::pair<std::string, std::string>> pairs;
    void open(const std::string&, const std::string&, char, bool) {}
    void close(char) {}
    void leaf(const std::string&, const std::string& path, const std::string& value, const std::string&) {
        pairs.emplace_back(path, value);
    }
    void absent(const std::string&, const std::string&) {}
};

template <class Out>
Out walk(const Config& config, Out out) {
    Config copy = config;
    Walker<Out>(out).walk("", copy, "");
    return out;
}

template <class T>
std::string type_name(const T&) {
    return all_words<T>();
}
std::string type_name(const int64_t&) { return "integer"; }
std::string type_name(const double&) { return "number"; }
std::string type_name(const bool&) { return "true or false"; }
std::string type_name(const std::string&) { return "text"; }

struct Reference {
    std::string text, path;
    void line(const std::string& key, const std::string& type, const std::string& value, const char* help) {
        text += path + key + ": " + value + "  # " + type + "; " + help + "\n";
    }
    template <class T>
    void operator()(const char* key, T& field, const char* help) {
        if constexpr (Spec<T>) {
            nested(key, field);
        } else {
            line(key, type_name(field), leaf(field), help);
        }
    }
    template <class T>
    void operator()(const char* key, std::vector<T>&, const char* help) {
        line(key, "list", "[]", help);
        T element;
        nested(std::string(key) + ".N", element);
    }
    template <class T>
    void operator()(const char* key, std::optional<T>&, const char* help) {
        line(key, type_name(T()), "null", help);
    }
    void operator()(const char* key, GateMap&, const char* help) {
        line(key, "list, or map of layer ranges to lists", "[]", help);
        GateSpec gate;
        nested(std::string(key) + ".N", gate);
    }
    template <class S>
    void nested(const std::string& key, S& spec) {
        const std::string outer = path;
        path += key + ".";
        spec.fields(*this);
        path = outer;
    }
};

}  // namespace

std::string dump_yaml(const Config& config) { return walk(config, YamlOut{}).text; }

std::string dump_yaml_with_origins(const Loaded& loaded) {
    YamlOut out;
    out.origins = &loaded.origins;
    return walk(loaded.config, out).text;
}

std::string dump_json(const Config& config) { return walk(config, JsonOut{}).text; }

std::vector<std::pair<std::string, std::string>> flatten(const Config& config) { return walk(config, FlatOut{}).pairs; }

std::string reference() {
    Reference r;
    Config config;
    config.fields(r);
    return r.text;
}

}  // namespace sluice
