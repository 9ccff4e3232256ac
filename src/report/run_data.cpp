#include "report/run_data.h"

#include <cmath>
#include <fstream>

#include "base/check.h"
#include "base/file.h"
#include "base/format.h"
#include "base/median.h"
#include "config/load.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr size_t kMostInspectionBytes = size_t(1) << 30;

void read_row(const Json& row, RunData& run) {
    const int64_t step = row["step"].get<int64_t>();
    for (const auto& [key, value] : row.items()) {
        if (value.is_object()) run.latest[key] = value;
        if (!value.is_number() || key == "step") continue;
        const double number = value.get<double>();
        if (std::isfinite(number)) run.series[key].emplace_back(step, number);
    }
}

// Sorts by step, and keeps the last of the values of a step.
void settle(Series& series) {
    std::stable_sort(series.begin(), series.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    size_t kept = 0;
    for (size_t i = 0; i < series.size(); i++)
        if (i + 1 == series.size() || series[i + 1].first != series[i].first) series[kept++] = series[i];
    series.resize(kept);
}

void read_metrics(RunData& run) {
    const fs::path path = run.folder / "metrics.jsonl";
    std::ifstream in(path, std::ios::binary);
    int64_t n = 0, first = 0, unreadable = 0;
    for (std::string line; std::getline(in, line);) {
        n++;
        const Json row = json_or_null(line);
        if (row.is_object() && !row.contains("step")) continue;  // a start
        if (row.is_object() && row["step"].is_number_integer())
            read_row(row, run);
        else if (!in.eof() && unreadable++ == 0)
            first = n;
    }
    if (unreadable > 0)
        run.complaints.push_back(path.string() + ":" + std::to_string(first) + ": " + counted(unreadable, "line") +
                                 " from here on cannot be read as rows of numbers");
    for (auto& [key, series] : run.series) settle(series);
}

}  // namespace

std::optional<double> RunData::last(const std::string& key) const {
    const auto found = series.find(key);
    if (found == series.end() || found->second.empty()) return {};
    return found->second.back().second;
}

std::optional<double> RunData::median(const std::string& key) const {
    const auto found = series.find(key);
    if (found == series.end() || found->second.empty()) return {};
    std::vector<double> values;
    for (const auto& [step, value] : found->second) values.push_back(value);
    return median_of(std::move(values));
}

RunData read_run(const fs::path& folder) {
    RunData run;
    run.folder = folder;
    if (is_there(folder / "config.yaml")) try {
            run.config = load_config((folder / "config.yaml").string(), {}, Purpose::stored).config;
        } catch (const Failure& f) { run.complaints.push_back(f.what()); }
    read_metrics(run);
    const fs::path inspection = folder / "inspect.json";
    if (is_there(inspection)) try {
            run.inspection = parse_json(read_file(inspection, int(Exit::other), kMostInspectionBytes, Links::follow));
        } catch (const std::exception& e) { run.complaints.push_back(inspection.string() + ": " + e.what()); }
    return run;
}

}  // namespace sluice
