// The rows of metrics.jsonl that led to a checkpoint. They may be in several places: beside the checkpoint, if it was
// set aside; in its run's folder; and, for steps before its branch began, with the checkpoint that the branch began
// from. Errors: Failure(Exit::disk).
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace sluice {

constexpr size_t kLargestMetrics = size_t{1} << 34;  // bytes of a metrics.jsonl

// The lines of a metrics.jsonl without rows after `step` and without incomplete lines.
std::string rows_up_to(const std::string& text, int64_t step);

// The rows up to `step`, which is the step folder's, with the lines that record starts between them; empty where none
// are found.
std::string branch_metrics(const std::filesystem::path& step_folder, int64_t step);

// For a run without checkpoints of its own that starts from another run's: writes the rows that led to that checkpoint
// to its metrics.jsonl. Rows that are already there, of a start that left no checkpoint, are first added to
// metrics.abandoned.jsonl. Calling it twice changes nothing more.
void begin_metrics(const std::filesystem::path& run_folder, const std::filesystem::path& step_folder, int64_t step);

}  // namespace sluice
