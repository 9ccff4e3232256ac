// A sweep file: variants of one config, times axes, times seeds.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/enum_names.h"
#include "config/load.h"
#include "config/yaml.h"

namespace sluice {

// What every variant gets to have in common with the baseline: nothing, parameters (by the width of its FFN or experts)
// or FLOPs of the training (by its steps).
enum class Match { none, parameters, flops };
template <>
struct EnumNames<Match> {
    static constexpr std::pair<const char*, Match> all[] = {
        {"none", Match::none}, {"parameters", Match::parameters}, {"flops", Match::flops}};
};

struct Variant {
    std::string name;
    std::vector<Layer> layers;  // over the base and `set`
};

// Keys that go together, and the values that they take. Every row of values has one for each key.
struct Axis {
    std::vector<std::string> keys;
    std::vector<std::vector<Node>> values;
};

struct SweepSpec {
    std::string file;  // that it was read from
    std::string name, dir = "runs";
    int64_t ranks = 1, parallel = 1, retries = 1;  // of a point; points at once; of a point that fails, in a start
    bool stop_on_divergence = false;               // stops a point whose loss stays above its first one
    std::string base;                              // relative to the folder that the program is started in
    std::vector<Layer> set;                        // of every point, under the variants
    std::vector<Variant> variants;                 // none given: one without changes, "base"
    std::string baseline;                          // default: the first variant
    std::vector<Axis> axes;
    std::vector<int64_t> seeds = {1};
    Match match = Match::none;
};

// Reads a sweep file, or the sweep.yaml of a sweep's folder. overrides: key=value; a key of a sweep ("sweep.ranks",
// "seeds") lies over the file, a key of a config is added to `set`. Errors: Failure(Exit::config) with all errors, a
// line each, "FILE:LINE:COLUMN: key: what". Whoever only looks at what has been trained does without the base's file.
enum class BaseFile { required, ignored };
SweepSpec read_sweep(const std::string& file, const std::vector<std::string>& overrides = {},
                     BaseFile base = BaseFile::required);

// As YAML that reads back to the same spec from a file in `folder`.
std::string dump_sweep(const SweepSpec& spec, const std::string& folder);

// A value in one line of YAML, as it may stand behind `key=`.
std::string flow_text(const Node& node);

}  // namespace sluice
