// What a run says: one line a logged step on stdout, warnings and errors on stderr, and everything with its time in
// log.txt.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace spdlog {
class logger;
}

namespace sluice {

struct StepLine {
    int64_t step = 0, steps = 0, skipped = 0;
    double loss = 0, grad_norm = 0, lr = 0, tokens_per_second = 0, mfu = 0, memory_bytes = 0, seconds = 0,
           eta_seconds = 0;
};
std::string format_step_line(const StepLine& line);  // at most 140 columns
std::string format_evaluation(int64_t step, double loss, double perplexity, const std::optional<double>& bits_per_byte,
                              int64_t tokens);

class Log {
 public:
    // A rank that is not loud only warns. file: empty for none. Errors: Failure(Exit::disk).
    Log(const std::filesystem::path& file, bool loud);
    ~Log();
    void info(const std::string& line);
    void warn(const std::string& line);

 private:
    std::shared_ptr<spdlog::logger> file_;
    bool loud_;
};

}  // namespace sluice
