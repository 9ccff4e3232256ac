#include "config/read.h"

#include <algorithm>
#include <type_traits>

#include "base/check.h"
#include "base/format.h"
#include "base/nearest.h"
#include "config/scalar.h"
#include "config/visit.h"

namespace sluice {
namespace {

// The closest known key: of those in the same section, else of all. Empty: none is close.
std::string key_meant(const std::string& key, const std::vector<std::string>& beside) {
    const std::string near = nearest(key, beside);
    return near.empty() ? nearest_path(key, config_paths()) : near;
}

std::string all_of(const std::vector<std::string>& keys) {
    std::string list;
    for (const std::string& key : keys) list += (list.empty() ? "" : ", ") + key;
    return list;
}

// Reads what can be read and reports the rest.
class Reader {
 public:
    explicit Reader(Marks& marks) : marks_(marks) {}

    template <Spec S>
    void read(const Node& node, const std::string& path, S& spec, Range = {}) {
        note(node, path);
        if (node.wrong || node.kind == Node::Kind::null) return;  // a section with nothing in it
        if (node.kind != Node::Kind::map) return marks_.error(node.mark, path, mismatch(node, "a map of keys"));
        report_unknown(node, path, keys_of(spec));
        spec.fields([&](const char* key, auto& field, const char*, const Attributes& attributes) {
            if (const Node* child = node.find(key)) read(*child, join(path, key), field, attributes.range);
        });
    }

    template <class T>
    void read(const Node& node, const std::string& path, T& value, Range range = {}) requires(!Spec<T>) {
        note(node, path);
        if (node.wrong) return;
        std::string why = read_scalar(node, value);
        if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, double>)
            if (why.empty() && !range.holds(double(value)))
                why = node.text + " is out of range: use " + describe(range);
        if (!why.empty()) marks_.error(node.mark, path, why);
    }

    template <class T>
    void read(const Node& node, const std::string& path, std::optional<T>& value, Range range = {}) {
        value.reset();
        note(node, path);
        if (node.kind != Node::Kind::null) read(node, path, value.emplace(), range);
    }

    template <class T>
    void read(const Node& node, const std::string& path, std::vector<T>& list, Range = {}) {
        note(node, path);
        if (node.wrong) return;
        if (node.kind != Node::Kind::list) return marks_.error(node.mark, path, mismatch(node, "a list"));
        list.assign(node.children.size(), T{});
        for (size_t i = 0; i < list.size(); i++) {
            const Node& child = node.children[i];
            if (child.kind == Node::Kind::null && !child.wrong)
                marks_.error(child.mark, join(path, i), "has no value: remove it, or fill it in");
            else
                read(child, join(path, i), list[i]);
        }
    }

    template <class T>
    void read(const Node& node, const std::string& path, PerLayer<T>& layers, Range = {}) {
        layers = {};
        const bool map = node.kind == Node::Kind::map;
        if (Spec<T> ? map && holds_ranges(node) : map) return read_ranges(node, path, layers);
        if (Spec<T> || node.kind == Node::Kind::list) return read(node, path, layers.all);
        note(node, path);
        if (node.wrong) return;
        marks_.error(node.mark, path, mismatch(node, "a list of gates, or a map of layer ranges to lists"));
    }

 private:
    void note(const Node& node, const std::string& path) {
        marks_.at[path] = node.mark;
        if (node.wrong) marks_.failed.insert(path);
    }
    // A key that was misspelled is not reported as missing too.
    void report_unknown(const Node& node, const std::string& path, const std::vector<std::string>& known) {
        for (auto& child : node.children) {
            if (std::find(known.begin(), known.end(), child.key) != known.end()) continue;
            const std::string meant = key_meant(child.key, known);
            marks_.error(child.key_mark, join(path, printable(child.key)),
                         "unknown key" + (meant.empty() ? ": known keys are " + all_of(known) : did_you_mean(meant)));
            if (!meant.empty() && !node.find(meant))
                marks_.failed.insert(meant.find('.') == std::string::npos ? join(path, meant) : meant);
        }
    }
    template <class T>
    void read_ranges(const Node& node, const std::string& path, PerLayer<T>& layers) {
        note(node, path);
        if (Spec<T> && report_mixed(node, path)) return;
        layers.per_layer = !node.children.empty();
        for (auto& child : node.children) {
            typename PerLayer<T>::Range range;
            if (!read_range(child.key, range)) {
                marks_.error(child.key_mark, join(path, printable(child.key)),
                             "not a range of layers: write 0-11 or 12");
                continue;
            }
            read(child, join(path, range_key(range)), range.value);
            layers.ranges.push_back(std::move(range));
        }
        std::stable_sort(layers.ranges.begin(), layers.ranges.end(),
                         [](auto& a, auto& b) { return a.first < b.first; });
    }
    // Reports ranges of layers beside keys of a spec, at the first key that is of the other kind than the first.
    bool report_mixed(const Node& node, const std::string& path) {
        const auto begin = node.children.begin(), end = node.children.end();
        const auto other = std::find_if(
            begin, end, [&](const Node& child) { return meant_as_range(child.key) != meant_as_range(begin->key); });
        if (other == end) return false;
        const auto& [range, key] = meant_as_range(begin->key) ? std::pair(begin, other) : std::pair(other, begin);
        marks_.error(other->key_mark, path,
                     "ranges of layers (" + printable(range->key) + ") and keys of one spec (" + printable(key->key) +
                         ") cannot be mixed: give one spec for all layers, or only ranges");
        return true;
    }

    Marks& marks_;
};

}  // namespace

std::vector<std::string> config_paths() {
    std::vector<std::string> paths;
    walk_keys(Config{}, "", [&](const std::string& path, auto&&...) {
        if (path.find(".N.") == std::string::npos) paths.push_back(path);  // not in lists
    });
    return paths;
}

void read_config(const Node& root, Config& config, Marks& marks) {
    Reader(marks).read(root, "", config);
    marks.at.erase("");
}

}  // namespace sluice
