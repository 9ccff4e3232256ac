#include "sweep/points.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "base/check.h"
#include "base/format.h"
#include "data/token_shard.h"
#include "model/counts.h"
#include "sweep/match.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// Lines about groups of points: a line that several share is said once, with their names.
class Said {
 public:
    void add(const std::string& lines, const std::string& group) {
        std::istringstream each(lines);
        for (std::string line; std::getline(each, line);) {
            const auto [entry, added] = about_.try_emplace(line);
            if (added) order_.push_back(line);
            if (entry->second.empty() || entry->second.back() != group) entry->second.push_back(group);
        }
    }
    // all: how many groups there are.
    std::vector<std::string> lines(size_t all) const {
        std::vector<std::string> lines;
        for (const std::string& line : order_) {
            const std::vector<std::string>& groups = about_.at(line);
            const std::string who = groups.size() == all && all > 1 ? "every point"
                                    : groups.size() == 1            ? "point " + groups[0]
                                                                    : "points " + format_list(groups);
            lines.push_back(line + " (" + who + ")");
        }
        return lines;
    }
    bool empty() const { return order_.empty(); }

 private:
    std::map<std::string, std::vector<std::string>> about_;
    std::vector<std::string> order_;
};

// A group of points on its way to a config.
struct Group {
    const Variant* variant;
    std::vector<std::pair<std::string, Node>> axes;
    std::string name, combination;  // combination: its values on the axes
    std::vector<Layer> layers;
    std::optional<Loaded> loaded;
};

// What may stand in the name of a folder; other characters become '-'.
std::string folder_text(const std::string& text) {
    std::string safe = text;
    for (char& c : safe)
        if (!std::isalnum(static_cast<unsigned char>(c)) && !std::strchr("._-+=", c)) c = '-';
    return safe;
}

class Judge {
 public:
    Judge(const SweepSpec& spec, Purpose purpose, const DataFacts& facts)
        : spec_(spec), purpose_(purpose), facts_(facts) {}

    Judged run() {
        expand_all();
        report_names();
        for (Group& group : groups_) load(group);
        if (spec_.match != Match::none) match();
        if (purpose_ == Purpose::train) look_for_data();
        if (!complaints_.empty()) {
            std::string all;
            for (const std::string& line : complaints_.lines(groups_.size())) all += (all.empty() ? "" : "\n") + line;
            fail(code_, all);
        }
        Judged judged;
        for (const Group& group : groups_) add_points(group, judged.points);
        Said warnings;
        for (const Group& group : groups_)
            for (const std::string& warning : group.loaded->warnings) warnings.add(warning, group.name);
        judged.warnings = warnings.lines(groups_.size());
        return judged;
    }

    std::vector<Point> names() {
        expand_all();
        std::vector<Point> points;
        for (const Group& group : groups_)
            for (const int64_t seed : spec_.seeds) points.push_back(named(group, seed));
        return points;
    }

 private:
    void complain(const Group& group, const std::string& what, Exit code = Exit::config) {
        if (complaints_.empty()) code_ = code;
        complaints_.add(what, group.name);
    }

    void expand_all() {
        for (const Variant& variant : spec_.variants) expand({&variant, {}, variant.name, "", {}, {}}, 0);
    }
    void expand(const Group& group, size_t axis) {
        if (axis == spec_.axes.size()) {
            groups_.push_back(group);
            Group& done = groups_.back();
            done.layers = spec_.set;
            const auto& own = group.variant->layers;
            done.layers.insert(done.layers.end(), own.begin(), own.end());
            for (const auto& [key, value] : done.axes)
                done.layers.push_back({key + "=" + flow_text(value), value.mark});
            return;
        }
        for (const std::vector<Node>& row : spec_.axes[axis].values) {
            Group next = group;
            for (size_t i = 0; i < row.size(); i++) {
                const std::string& key = spec_.axes[axis].keys[i];
                next.axes.emplace_back(key, row[i]);
                const std::string text = row[i].kind == Node::Kind::scalar ? row[i].text : flow_text(row[i]);
                next.combination += "," + folder_text(key) + "=" + folder_text(text);
            }
            next.name = group.variant->name + next.combination;
            expand(next, axis + 1);
        }
    }

    // Two groups may not share a folder, and a folder's name has at most 255 bytes.
    void report_names() {
        std::set<std::string> names;
        for (const Group& group : groups_) {
            if (!names.insert(group.name).second)
                complain(group, spec_.file + ": axes: two values would have the same folder: use other words");
            if (group.name.size() > 255)
                complain(group, spec_.file + ": axes: the folder's name would have more than 255 bytes");
        }
    }

    fs::path folder_of(const Group& group) const { return sweep_folder(spec_) / "points" / group.name; }

    Loaded load_at(const Group& group, int64_t seed) const {
        std::vector<Layer> layers = group.layers;
        const Mark mark{std::make_shared<const std::string>(spec_.file), 0, 0};
        const std::string parent = folder_of(group).string();
        layers.push_back({"run.dir=" + yaml_string(parent), mark});
        layers.push_back({"run.name=seed-" + std::to_string(seed), mark});
        layers.push_back({"run.seed=" + std::to_string(seed), mark});
        return load_layers(spec_.base, layers, purpose_, int(spec_.ranks), facts_);
    }
    void load(Group& group) {
        group.loaded.reset();
        try {
            group.loaded = load_at(group, spec_.seeds[0]);
        } catch (const Failure& f) { complain(group, f.what(), f.code()); }
    }

    void match() {
        std::map<std::string, const Group*> baselines;
        for (const Group& group : groups_)
            if (group.variant->name == spec_.baseline) baselines[group.combination] = &group;
        for (Group& group : groups_) {
            const Group& baseline = *baselines.at(group.combination);
            if (&group == &baseline || !group.loaded || !baseline.loaded) continue;
            if (spec_.match == Match::parameters)
                match_parameters(group, baseline.loaded->config);
            else
                match_flops(group, baseline.loaded->config);
        }
    }
    void give(Group& group, const std::string& text) {
        const std::string why = spec_.file + ": match: " + enum_name(spec_.match);
        group.layers.push_back({text, {std::make_shared<const std::string>(why), 0, 0}});
    }
    void match_parameters(Group& group, const Config& baseline) {
        const ModelSpec& model = group.loaded->config.model;
        const int64_t wanted = count_parameters(baseline.model).total, width = matched_width(model, wanted);
        if (width == 0)
            return complain(group, spec_.file + ": match: parameters: with the narrowest " + width_key(model) +
                                       ", 8, it has more than the baseline's " + std::to_string(wanted));
        give(group, width_key(model) + ("=" + std::to_string(width)));
        load(group);
    }
    void match_flops(Group& group, const Config& baseline) {
        if (baseline.train.steps == 0 || baseline.train.tokens || baseline.train.epochs)
            return complain(group, spec_.file + ": match: flops: the baseline's train.steps are not known");
        for (const char* key : {"train.tokens", "train.epochs"})
            if (group.loaded->origins.count(key) && group.loaded->origins.at(key) != "default")
                give(group, key + std::string("=null"));
        const int64_t steps = matched_steps(group.loaded->config, training_flops(baseline));
        give(group, "train.steps=" + std::to_string(steps));
        load(group);
    }

    void look_for_data() {
        std::map<std::string, std::string> why;
        const auto look = [&](const Group& group, const std::string& path) {
            const auto [entry, added] = why.try_emplace(path);
            if (added) try {
                    shard_files(path);
                } catch (const Failure& f) { entry->second = f.what(); }
            if (!entry->second.empty()) complain(group, entry->second, Exit::data);
        };
        for (const Group& group : groups_) {
            if (!group.loaded) continue;
            for (const DataSource& source : group.loaded->config.data.train) look(group, source.path);
            for (const ValidationSet& set : group.loaded->config.data.validation) look(group, set.path);
        }
    }

    Point named(const Group& group, int64_t seed) const {
        Point point;
        point.variant = group.variant->name;
        point.axes = group.axes;
        point.seed = seed;
        point.group = group.name;
        point.folder = folder_of(group) / ("seed-" + std::to_string(seed));
        return point;
    }
    void add_points(const Group& group, std::vector<Point>& points) const {
        for (const int64_t seed : spec_.seeds) {
            Point point = named(group, seed);
            point.config = group.loaded->config;
            point.config.run.seed = seed;
            point.config.run.name = point.folder.filename().string();
            point.parameters = count_parameters(point.config.model).total;
            point.flops_per_token = sluice::flops_per_token(point.config.model, point.config.data.sequence_length);
            const TrainSpec& train = point.config.train;
            const bool known = !train.tokens && !train.epochs;
            point.tokens = known ? train.steps * train.batch * point.config.data.sequence_length : 0;
            points.push_back(std::move(point));
        }
    }

    const SweepSpec& spec_;
    Purpose purpose_;
    const DataFacts& facts_;
    std::vector<Group> groups_;
    Said complaints_;
    Exit code_ = Exit::config;
};

}  // namespace

Judged judge(const SweepSpec& spec, Purpose purpose, const DataFacts& facts) {
    return Judge(spec, purpose, facts).run();
}

std::vector<Point> name_points(const SweepSpec& spec) { return Judge(spec, Purpose::plan, {}).names(); }

fs::path sweep_folder(const SweepSpec& spec) { return fs::path(spec.dir) / spec.name; }

}  // namespace sluice
