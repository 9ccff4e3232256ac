#include "sweep/spec.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "base/check.h"
#include "base/format.h"
#include "base/nearest.h"
#include "config/overlay.h"
#include "config/range.h"
#include "config/scalar.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
const std::vector<std::string> kSections{"sweep", "base", "set", "variants", "baseline", "axes", "seeds", "match"};
constexpr int64_t kMostPoints = 100'000, kMostRetries = 1000;

// Names that become folders.
bool is_folder_name(const std::string& name) {
    const auto fits = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-' || c == '.' || c == '+'; };
    return !name.empty() && name[0] != '.' && name.size() <= 100 && std::all_of(name.begin(), name.end(), fits);
}

// The same of 1e-3 and 0.001.
std::string text_of_equals(const Node& value) {
    double number = 0;
    return flow_text(read_scalar(value, number).empty() ? write_scalar(number) : value);
}

// Reads what can be read and reports the rest.
class SweepReader {
 public:
    SweepReader(const Node& root, SweepSpec& spec, BaseFile base, Diagnostics& diagnostics)
        : root_(root), spec_(spec), base_(base), diagnostics_(diagnostics) {}

    void read() {
        report_unknown(root_, "", kSections);
        const Node* sweep = root_.find("sweep");
        if (sweep) read_section(*sweep);
        if (const Node* name = sweep ? sweep->find("name") : nullptr; !is_folder_name(spec_.name))
            error(name ? name->mark : root_.mark, "sweep.name",
                  in_quotes(spec_.name) + " cannot name a folder: use letters, digits, '_', '-', '+' and '.'");
        read_base();
        if (const Node* set = root_.find("set")) read_layers(*set, "set", spec_.set);
        if (const Node* variants = root_.find("variants")) read_variants(*variants);
        if (!root_.find("variants")) spec_.variants.push_back({"base", {}});
        read_baseline();
        if (const Node* axes = root_.find("axes")) read_axes(*axes);
        if (const Node* seeds = root_.find("seeds")) read_seeds(*seeds);
        if (const Node* match = root_.find("match")) read_value(*match, "match", spec_.match);
        report_size();
    }

 private:
    void error(const Mark& mark, const std::string& path, const std::string& what) {
        diagnostics_.add(mark, path + ": " + what);
    }

    void report_unknown(const Node& node, const std::string& path, const std::vector<std::string>& known) {
        for (const Node& child : node.children) {
            if (std::find(known.begin(), known.end(), child.key) != known.end()) continue;
            const std::string meant = nearest(child.key, known);
            error(child.key_mark, path + printable(child.key),
                  "unknown key" +
                      (meant.empty() ? ": known keys are " + format_list(known, known.size()) : did_you_mean(meant)));
        }
    }
    bool is_a(Node::Kind kind, const Node& node, const std::string& path, const char* what) {
        if (!node.wrong && node.kind != kind) error(node.mark, path, mismatch(node, what));
        return !node.wrong && node.kind == kind;
    }
    template <class T>
    bool read_value(const Node& node, const std::string& path, T& value) {
        if (node.wrong) return false;
        const std::string why = read_scalar(node, value);
        if (!why.empty()) error(node.mark, path, why);
        return why.empty();
    }
    void read_number(const Node& node, const std::string& path, int64_t& value, Range range) {
        if (read_value(node, path, value) && !range.holds(double(value)))
            error(node.mark, path, node.text + " is out of range: use " + describe(range));
    }

    void read_section(const Node& node) {
        if (!is_a(Node::Kind::map, node, "sweep", "a map of keys")) return;
        report_unknown(node, "sweep.", {"name", "dir", "ranks", "parallel", "retries", "stop_on_divergence"});
        if (const Node* name = node.find("name")) read_value(*name, "sweep.name", spec_.name);
        if (const Node* dir = node.find("dir")) read_value(*dir, "sweep.dir", spec_.dir);
        if (const Node* ranks = node.find("ranks"))
            read_number(*ranks, "sweep.ranks", spec_.ranks, from(1, double(kMaxRanks)));
        if (const Node* parallel = node.find("parallel"))
            read_number(*parallel, "sweep.parallel", spec_.parallel, from(1, 1024));
        if (const Node* retries = node.find("retries"))
            read_number(*retries, "sweep.retries", spec_.retries, from(0, double(kMostRetries)));
        if (const Node* stop = node.find("stop_on_divergence"))
            read_value(*stop, "sweep.stop_on_divergence", spec_.stop_on_divergence);
    }

    void read_base() {
        const Node* base = root_.find("base");
        if (!base) return error(root_.mark, "base", "required, but not given: the config of every point");
        std::string path;
        if (!read_value(*base, "base", path)) return;
        const fs::path found = (fs::path(spec_.file).parent_path() / path).lexically_normal();
        std::error_code unknown;
        if (path.empty() || (base_ == BaseFile::required && !fs::is_regular_file(found, unknown)))
            return error(base->mark, "base", "no such file: " + printable(found.string()));
        spec_.base = found.string();
    }

    // Files and key=value.
    void read_layers(const Node& list, const std::string& path, std::vector<Layer>& layers) {
        if (!is_a(Node::Kind::list, list, path, "a list of files and key=value")) return;
        for (const Node& child : list.children) {
            Layer layer{"", child.mark};
            if (!read_value(child, path, layer.text)) continue;
            if (!is_config_file(layer.text) && layer.text.find('=') == std::string::npos)
                error(child.mark, path, in_quotes(layer.text) + " is neither a file (.yaml) nor key=value");
            else
                report_owned(child.mark, path, layer.text.substr(0, layer.text.find('='))), layers.push_back(layer);
        }
    }
    void report_owned(const Mark& mark, const std::string& path, const std::string& key) {
        for (const char* own : {"run", "run.name", "run.dir", "run.seed"})
            if (key == own) error(mark, path, key + " is given by the sweep: see sweep.name, sweep.dir and seeds");
    }

    void read_variants(const Node& node) {
        if (!is_a(Node::Kind::map, node, "variants", "a map of names to lists")) return;
        for (const Node& child : node.children) {
            const std::string path = "variants." + printable(child.key);
            if (!is_folder_name(child.key))
                error(child.key_mark, path, "cannot name a folder: use letters, digits, '_', '-', '+' and '.'");
            spec_.variants.push_back({child.key, {}});
            read_layers(child, path, spec_.variants.back().layers);
        }
        if (node.children.empty()) error(node.mark, "variants", "has no variant: name one, as in {base: []}");
    }

    void read_baseline() {
        std::vector<std::string> names;
        for (const Variant& variant : spec_.variants) names.push_back(variant.name);
        if (!names.empty()) spec_.baseline = names[0];
        const Node* node = root_.find("baseline");
        if (!node || !read_value(*node, "baseline", spec_.baseline)) return;
        if (std::find(names.begin(), names.end(), spec_.baseline) == names.end())
            error(node->mark, "baseline",
                  "no variant is named " + in_quotes(spec_.baseline) + did_you_mean(nearest(spec_.baseline, names)));
    }

    void read_axes(const Node& node) {
        if (!is_a(Node::Kind::map, node, "axes", "a map of keys to lists")) return;
        std::set<std::string> seen;
        for (const Node& child : node.children) {
            const std::string path = "axes." + printable(child.key);
            Axis axis;
            for (size_t at = 0; at <= child.key.size();) {
                const size_t comma = std::min(child.key.find(',', at), child.key.size());
                axis.keys.push_back(child.key.substr(at, comma - at));
                at = comma + 1;
            }
            for (std::string& key : axis.keys) {
                while (key.starts_with(' ')) key.erase(0, 1);
                report_owned(child.key_mark, path, key);
                if (key.empty() || key.find('=') != std::string::npos)
                    error(child.key_mark, path, "not a key of a config, or several with a comma between");
                if (!seen.insert(key).second) error(child.key_mark, path, key + " is already on an axis");
            }
            if (is_a(Node::Kind::list, child, path, "a list of values")) read_values(child, path, axis);
            spec_.axes.push_back(std::move(axis));
        }
    }
    void read_values(const Node& list, const std::string& path, Axis& axis) {
        std::set<std::string> seen;
        if (list.children.empty()) error(list.mark, path, "has no value");
        for (const Node& child : list.children) {
            std::vector<Node> row{child};
            const size_t keys = axis.keys.size();
            if (keys > 1) {
                if (!is_a(Node::Kind::list, child, path, "a list with a value for each key")) continue;
                row = child.children;
                if (row.size() != keys)
                    error(child.mark, path,
                          counted(int64_t(row.size()), "value") + " for " + counted(int64_t(keys), "key"));
            }
            std::string text;
            for (const Node& value : row) text += "," + text_of_equals(value);
            if (!seen.insert(text).second) error(child.mark, path, "the value " + text.substr(1) + " stands twice");
            if (row.size() == keys) axis.values.push_back(std::move(row));
        }
    }

    void read_seeds(const Node& node) {
        if (!is_a(Node::Kind::list, node, "seeds", "a list of integers")) return;
        spec_.seeds.clear();
        for (const Node& child : node.children) {
            int64_t seed = 0;
            read_number(child, "seeds", seed, kCount);
            if (std::find(spec_.seeds.begin(), spec_.seeds.end(), seed) != spec_.seeds.end())
                error(child.mark, "seeds", child.text + " stands twice");
            spec_.seeds.push_back(seed);
        }
        if (spec_.seeds.empty()) error(node.mark, "seeds", "has no seed: give one, as in [1]");
    }

    void report_size() {
        double points = double(spec_.variants.size()) * double(spec_.seeds.size());
        for (const Axis& axis : spec_.axes) points *= double(axis.values.size());
        if (points > double(kMostPoints))
            error(root_.mark, "axes", format_count(points) + " points: at most " + format_count(double(kMostPoints)));
    }

    const Node& root_;
    SweepSpec& spec_;
    BaseFile base_;
    Diagnostics& diagnostics_;
};

bool is_sweep_key(const std::string& text) {
    const std::string first = text.substr(0, std::min(text.find('.'), text.find('=')));
    return std::find(kSections.begin(), kSections.end(), first) != kSections.end();
}

std::string list_text(const std::vector<Layer>& layers) {
    std::string text;
    for (const Layer& layer : layers) text += (text.empty() ? "" : ", ") + yaml_string(layer.text);
    return "[" + text + "]";
}

}  // namespace

std::string flow_text(const Node& node) {
    std::string text;
    if (node.kind == Node::Kind::null) return "null";
    if (node.kind == Node::Kind::scalar) {
        const auto plain = [](unsigned char c) {
            return std::isalnum(c) || c == '.' || c == '-' || c == '+' || c == '_';
        };
        return !node.quoted && std::all_of(node.text.begin(), node.text.end(), plain) ? node.text
                                                                                      : yaml_string(node.text);
    }
    const bool map = node.kind == Node::Kind::map;
    for (const Node& child : node.children)
        text += (text.empty() ? "" : ", ") + (map ? yaml_string(child.key) + ": " : "") + flow_text(child);
    return map ? "{" + text + "}" : "[" + text + "]";
}

SweepSpec read_sweep(const std::string& file, const std::vector<std::string>& overrides, BaseFile base) {
    SweepSpec spec;
    std::error_code error;
    spec.file = fs::is_directory(file, error) ? (fs::path(file) / "sweep.yaml").string() : file;
    spec.name = fs::path(spec.file).stem().string();
    Diagnostics diagnostics;
    Node root = read_yaml(spec.file, diagnostics);
    if (root.kind != Node::Kind::map) diagnostics.stop(root.mark, "not a sweep: a map of keys, the first of them base");
    for (const std::string& text : overrides)
        if (is_sweep_key(text)) apply_override(root, text, diagnostics);
    SweepReader(root, spec, base, diagnostics).read();
    const Mark mark{std::make_shared<const std::string>(kCommandLine), 0, 0};
    for (const std::string& text : overrides)
        if (!is_sweep_key(text)) spec.set.push_back({text, mark});
    diagnostics.raise();
    return spec;
}

std::string dump_sweep(const SweepSpec& spec, const std::string& folder) {
    const fs::path from = fs::weakly_canonical(folder), base = fs::weakly_canonical(spec.base);
    std::string text = "sweep: {name: " + yaml_string(spec.name) + ", dir: " + yaml_string(spec.dir) +
                       ", ranks: " + std::to_string(spec.ranks) + ", parallel: " + std::to_string(spec.parallel) +
                       ", retries: " + std::to_string(spec.retries) +
                       ", stop_on_divergence: " + (spec.stop_on_divergence ? "true" : "false") + "}\n";
    text += "base: " + yaml_string(base.lexically_proximate(from).string()) + "\n";
    text += "set: " + list_text(spec.set) + "\nvariants:\n";
    for (const Variant& variant : spec.variants)
        text += "  " + yaml_string(variant.name) + ": " + list_text(variant.layers) + "\n";
    text += "baseline: " + yaml_string(spec.baseline) + "\n";
    std::string axes;
    for (const Axis& axis : spec.axes) {
        std::string keys, values;
        for (const std::string& key : axis.keys) keys += (keys.empty() ? "" : ",") + key;
        for (const auto& row : axis.values) {
            std::string one;
            for (const Node& value : row) one += (one.empty() ? "" : ", ") + flow_text(value);
            values += (values.empty() ? "" : ", ") + (row.size() > 1 ? "[" + one + "]" : one);
        }
        axes += "\n  " + yaml_string(keys) + ": [" + values + "]";
    }
    std::string seeds;
    for (const int64_t seed : spec.seeds) seeds += (seeds.empty() ? "" : ", ") + std::to_string(seed);
    return text + "axes:" + (axes.empty() ? " {}" : axes) + "\nseeds: [" + seeds +
           "]\nmatch: " + enum_name(spec.match) + "\n";
}

}  // namespace sluice
