// metrics.jsonl: a JSON object a line. Numbers read back to the same bits; what is not finite is null.
// Errors: Failure(Exit::disk).
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {

using MetricsRow = std::vector<std::pair<std::string, std::variant<int64_t, double>>>;

std::string metrics_line(const MetricsRow& row);

class Metrics {
 public:
    explicit Metrics(
        const std::filesystem::path& path);  // goes on after what is there; half a line left by a crash is cut off
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;
    ~Metrics();
    void append(const MetricsRow& row);

 private:
    std::filesystem::path path_;
    int fd_;
};

}  // namespace sluice
