// metrics.jsonl: one JSON object per line. A start of a run begins with {"run": {...}}, without a step; then come rows
// of numbers and histograms, one per step. Numbers read back to the same bits; one that is not finite is null.
// spikes.jsonl has such rows of the steps that were not applied. Errors: Failure(Exit::disk).
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"

namespace sluice {

// Shares of the numbers in bins of one width, the first of which begins at `low`; count: of the numbers.
struct Histogram {
    double low, width;
    std::vector<double> shares;
    double count;
};
using MetricsRow = std::vector<std::pair<std::string, std::variant<int64_t, double, Histogram>>>;

std::string metrics_line(const MetricsRow& row);

class Metrics {
 public:
    // Appends to the rows whose `key` is `last` at most. Later rows, which an abandoned part of the run left there, are
    // moved to NAME.abandoned.jsonl beside NAME.jsonl. Half a line left by a crash is cut off.
    Metrics(const std::filesystem::path& path, int64_t last, const char* key = "step");
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;
    ~Metrics();
    void begin(const Json& run);  // a start
    void append(const MetricsRow& row);

 private:
    void append_line(const std::string& line);
    std::filesystem::path path_;
    int fd_;
};

}  // namespace sluice
