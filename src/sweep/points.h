// The points of a sweep, each with its resolved config, judged as a whole.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "config/load.h"
#include "sweep/spec.h"

namespace sluice {

struct Point {
    std::string variant;
    std::vector<std::pair<std::string, Node>> axes;  // key and value
    int64_t seed = 1;
    std::string group;             // "VARIANT[,KEY=VALUE...]": what all seeds have in common
    std::filesystem::path folder;  // DIR/NAME/points/GROUP/seed-SEED, the folder of its run
    Config config;
    int64_t parameters = 0;
    double flops_per_token = 0;
    int64_t tokens = 0;  // of the whole training; 0: not known without data

    std::string name() const { return group + "/seed-" + std::to_string(seed); }
    double flops() const { return flops_per_token * double(tokens); }
};

struct Judged {
    std::vector<Point> points;          // variant by variant, then axis by axis, then seed by seed
    std::vector<std::string> warnings;  // of their configs, each with the points that it is about
};

// Loads the config of every point: the base, `set`, the variant's layers, the axes' values, what `match` gives, in this
// order. Purpose::plan does without data; Purpose::train wants them there. Errors: Failure with all complaints of all
// points, a line each, with the points that it is about; with the code of the first.
Judged judge(const SweepSpec& spec, Purpose purpose, const DataFacts& facts = {});

// The same points by name, axes and folder alone: reads no config.
std::vector<Point> name_points(const SweepSpec& spec);

std::filesystem::path sweep_folder(const SweepSpec& spec);

}  // namespace sluice
