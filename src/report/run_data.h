// What a run has logged, read from its folder for a report. A run may still be training.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "config/specs.h"

namespace sluice {

using Series = std::vector<std::pair<int64_t, double>>;  // step and value, by step

struct RunData {
    std::filesystem::path folder;
    std::optional<Config> config;
    std::map<std::string, Series> series;  // of every key of metrics.jsonl: rows that have a finite number there
    std::map<std::string, Json> latest;    // of every key with an object: the last row's
    Json inspection;                       // inspect.json of `sluice inspect --save`; null: there is none
    std::vector<std::string> complaints;   // files and lines that cannot be read, each with its place

    std::optional<double> last(const std::string& key) const;
    std::optional<double> median(const std::string& key) const;
};

// A step that was logged twice counts by its last line. Half a line at the end is passed over: it is being written.
// Never fails: what cannot be read is in `complaints`.
RunData read_run(const std::filesystem::path& folder);

}  // namespace sluice
