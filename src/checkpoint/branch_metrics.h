// The rows of metrics.jsonl that led to a checkpoint, wherever they lie: beside it where steps were set aside, in its
// run's folder, and from before its branch began with the checkpoint that the branch began from.
// Errors: Failure(Exit::disk).
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace sluice {

constexpr size_t kLargestMetrics = size_t{1} << 34;  // bytes of a metrics.jsonl

// The lines of a metrics.jsonl without rows of later steps and without half lines.
std::string rows_up_to(const std::string& text, int64_t step);

// The rows up to `step`, which is the step folder's, and the starts before them; empty where none are found.
std::string branch_metrics(const std::filesystem::path& step_folder, int64_t step);

// For a run without checkpoints of its own that starts from another's: its metrics.jsonl begins with that one's rows.
// Rows of a start that left no checkpoint go into metrics.abandoned.jsonl first. Done before: changes nothing.
void begin_metrics(const std::filesystem::path& run_folder, const std::filesystem::path& step_folder, int64_t step);

}  // namespace sluice
