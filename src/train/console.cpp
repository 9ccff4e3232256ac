#include "train/console.h"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>

#include <cstdio>

#include "base/check.h"
#include "base/format.h"
#include "base/terminal.h"

namespace sluice {

std::string format_step_line(const StepLine& n) {
    std::string line =
        fmt::format("step {}/{} | loss {:.4f} | gn {:.3f} | lr {:.2e} | {} tok/s | mfu {:.1f}% | mem {} | {}", n.step,
                    n.steps, n.loss, n.grad_norm, n.lr, format_count(n.tokens_per_second), 100 * n.mfu,
                    format_bytes(n.memory_bytes), format_seconds(n.seconds));
    if (n.skipped > 0) line += fmt::format(" | skipped {}", n.skipped);
    line += " | eta " + format_seconds(n.eta_seconds);
    return line.substr(0, 140);
}

std::string format_evaluation(int64_t step, double loss, double perplexity, const std::optional<double>& bits_per_byte,
                              int64_t tokens) {
    return fmt::format("step {} | loss {:.4f} | perplexity {:.3f} | {}{} tokens", step, loss, perplexity,
                       bits_per_byte ? fmt::format("bits per byte {:.4f} | ", *bits_per_byte) : "", tokens);
}

Log::Log(const std::filesystem::path& file, bool loud) : loud_(loud) {
    if (file.empty()) return;
    try {
        auto sink = std::make_shared<spdlog::sinks::basic_file_sink_st>(file.string());
        file_ = std::make_shared<spdlog::logger>("log", sink);
        file_->set_pattern("%Y-%m-%d %H:%M:%S %l %v");
        file_->flush_on(spdlog::level::info);
        file_->set_error_handler([](const std::string& why) { print_warning("log.txt: " + why); });
    } catch (const spdlog::spdlog_ex& e) { fail(Exit::disk, e.what()); }
}
Log::~Log() = default;

void Log::info(const std::string& line) {
    if (!loud_) return;
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
    if (file_) file_->info(line);
}

void Log::warn(const std::string& line) {
    if (!loud_) return;
    print_warning(line);
    if (file_) file_->warn(line);
}

}  // namespace sluice
