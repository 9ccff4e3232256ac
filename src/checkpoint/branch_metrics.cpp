#include "checkpoint/branch_metrics.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <vector>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/manifest.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr int kMaxBranches = 1000;  // of a chain of branches, each begun from a checkpoint of the previous one

// None for a line that records a start, and for anything else that is not a row of a step.
std::optional<double> step_of_row(const std::string& line) {
    const Json row = json_or_null(line);
    if (!row.is_object() || !row.contains("step") || !row["step"].is_number()) return std::nullopt;
    return row["step"].get<double>();
}

std::string text_of(const fs::path& path) { return read_file(path, int(Exit::disk), kLargestMetrics, Links::follow); }

// The parent folder of a step folder: as named, and after links are followed.
std::vector<fs::path> folders_of(const fs::path& step_folder) {
    std::error_code error;
    std::vector<fs::path> folders{fs::absolute(step_folder).lexically_normal().parent_path()};
    if (const fs::path real = fs::canonical(step_folder, error); !error) folders.push_back(real.parent_path());
    return folders;
}

// The rows up to a step, and no line after the last of them: a start recorded there led to other steps.
std::string leading_rows(const std::string& text, int64_t step) {
    size_t end = 0, at = 0;  // bytes: end of the last row, end of the current line
    const std::string rows = rows_up_to(text, step);
    std::istringstream lines(rows);
    for (std::string line; std::getline(lines, line);) {
        at += line.size() + 1;
        if (step_of_row(line)) end = at;
    }
    return rows.substr(0, end);
}

// The leading rows of the metrics.jsonl beside a step folder, or in its run's folder.
std::string rows_beside(const fs::path& step_folder, int64_t step) {
    for (const fs::path& folder : folders_of(step_folder)) {
        const fs::path run = folder.filename() == "checkpoints" ? folder.parent_path() : folder;
        for (const fs::path& metrics : {folder / "metrics.jsonl", run / "metrics.jsonl"})
            if (is_there(metrics))
                if (const std::string rows = leading_rows(text_of(metrics), step); !rows.empty()) return rows;
    }
    return "";
}

double first_step(const std::string& rows, double none) {
    std::istringstream lines(rows);
    for (std::string line; std::getline(lines, line);)
        if (const auto step = step_of_row(line)) return *step;
    return none;
}

std::optional<CheckpointInfo> info_of(const fs::path& step_folder) {
    try {
        return read_manifest(step_folder / "manifest.json").info;
    } catch (const Failure&) { return std::nullopt; }
}

// The step folder that a branch began from, where it can still be found.
fs::path start_of(const BranchStart& branch, const fs::path& step_folder) {
    std::vector<fs::path> candidates{branch.path};
    for (const fs::path& folder : folders_of(step_folder)) candidates.push_back(folder / step_name(branch.step));
    for (const fs::path& candidate : candidates)
        if (const auto info = info_of(candidate); info && info->digest == branch.digest) return candidate;
    return {};
}

}  // namespace

std::string rows_up_to(const std::string& text, int64_t step) {
    std::string kept;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const auto row_step = step_of_row(line);
        if (row_step ? *row_step <= double(step) : Json::accept(line)) kept += line + "\n";
    }
    return kept;
}

std::string branch_metrics(const fs::path& step_folder, int64_t step) {
    std::string rows;
    fs::path at = step_folder;
    // Go back from branch to branch: put the rows of each before those found so far, until they reach the start.
    for (int i = 0; i < kMaxBranches && !at.empty(); i++) {
        rows = rows_beside(at, step) + rows;
        const double first = first_step(rows, double(step) + 1);
        const auto info = info_of(at);
        if (!info || !info->branch || double(info->branch->step) >= first) break;
        step = info->branch->step;
        at = start_of(*info->branch, at);
    }
    return rows;
}

void begin_metrics(const fs::path& run_folder, const fs::path& step_folder, int64_t step) {
    const fs::path metrics = run_folder / "metrics.jsonl", abandoned = run_folder / "metrics.abandoned.jsonl";
    const std::string rows = branch_metrics(step_folder, step), own = is_there(metrics) ? text_of(metrics) : "";
    if (rows.empty() || own.starts_with(rows)) return;
    if (!own.empty()) write_file(abandoned, (is_there(abandoned) ? text_of(abandoned) : "") + own);
    write_file(metrics, rows);
}

}  // namespace sluice
