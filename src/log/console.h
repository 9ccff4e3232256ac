// Console output and log.txt. Lines go to stdout and warnings to stderr; a terminal shows the current step in place.
// log.txt has every line in full, with its time.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "cli/columns.h"
#include "cli/log_file.h"
#include "eval/evaluate.h"

namespace sluice {

struct StepLine {
    int64_t step = 0, steps = 0, skipped = 0, spikes = 0;
    double loss = 0, grad_norm = 0, lr = 0, tokens_per_second = 0, mfu = 0, memory_bytes = 0, seconds = 0,
           eta_seconds = 0;
    bool of_gemm = true;                      // mfu is of a GEMM rate, not of a data sheet's peak
    std::optional<double> gate_mean, f_attn;  // where the step was looked at
};
Columns step_columns(const StepLine& line);
Columns evaluation_columns(const std::string& set, int64_t step, const Evaluation& evaluation);
// Its width where no terminal is narrower.
constexpr int kStepLineColumns = 140;
std::string format_step_line(const StepLine& line);

class Log {
 public:
    // A rank that is not `loud` prints nothing. file: empty for none. Errors: Failure(Exit::disk).
    Log(const std::filesystem::path& file, bool loud);
    void info(const std::string& line);
    void info(const Columns& columns, int most = 0);  // most: of columns; 0: no limit
    // Not in log.txt. Calls for the columns only when it shows them, a few times a second.
    void in_place(const std::function<Columns()>& columns);
    void warn(const std::string& line);

 private:
    void keep(const char* level, const std::string& line);
    std::optional<LogFile> file_;
    bool loud_, disk_told_ = false;
    double next_in_place_ = 0;
};

}  // namespace sluice
