#include "log/console.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "base/format.h"
#include "cli/terminal.h"

namespace sluice {
namespace {

constexpr double kSecondsInPlace = 0.2;
const char* const kBold = "\x1b[1m";
const char* const kYellow = "\x1b[33m";

// ".41", "1.20", "-.05"
std::string share(double x) {
    std::string text = format_fixed(x, 2);
    if (const size_t zero = text.find("0."); zero == (text[0] == '-' ? 1 : 0)) text.erase(zero, 1);
    return text;
}

}  // namespace

Columns step_columns(const StepLine& n) {
    Columns columns{{fmt::format("step {}/{}", n.step, n.steps), 10},
                    {"loss " + format_fixed(n.loss, 4), 9, kBold},
                    {"gn " + format_fixed(n.grad_norm, 3), 5},
                    {fmt::format("lr {:.2e}", n.lr), 4},
                    {format_count(n.tokens_per_second) + " tok/s", 6},
                    {"mfu " + format_fixed(100 * n.mfu, 1) + (n.of_gemm ? "% of gemm" : "%"), 3},
                    {"mem " + format_bytes(n.memory_bytes), 1},
                    {format_seconds(n.seconds), 2}};
    if (n.gate_mean || n.f_attn)
        columns.push_back({(n.gate_mean ? "gate " + share(*n.gate_mean) : "") + (n.gate_mean && n.f_attn ? " " : "") +
                               (n.f_attn ? "sink " + share(*n.f_attn) : ""),
                           6});
    if (n.skipped > 0) columns.push_back({fmt::format("skipped {}", n.skipped), 8, kYellow});
    if (n.spikes > 0) columns.push_back({counted(n.spikes, "spike"), 8, kYellow});
    if (n.step < n.steps) columns.push_back({"eta " + format_seconds(n.eta_seconds), 7});
    return columns;
}

Columns evaluation_columns(const std::string& set, int64_t step, const Evaluation& e) {
    Columns columns{{"eval " + set, 5},
                    {fmt::format("step {}", step), 3},
                    {"loss " + format_fixed(e.loss, 4), 4, kBold},
                    {"perplexity " + format_fixed(e.perplexity, 3), 2}};
    if (e.bits_per_byte) columns.push_back({"bits per byte " + format_fixed(*e.bits_per_byte, 4), 1});
    columns.push_back({counted(e.tokens, "token"), 0});
    return columns;
}

std::string format_step_line(const StepLine& line) { return join(step_columns(line), kStepLineColumns); }

Log::Log(const std::filesystem::path& file, bool loud) : loud_(loud) {
    if (!file.empty()) file_.emplace(file);
}

void Log::keep(const char* level, const std::string& line) {
    if (!file_ || file_->append(level, line) || disk_told_) return;
    disk_told_ = true;
    print_warning("log.txt: the disk does not accept all lines");
}

void Log::info(const std::string& line) {
    if (!loud_) return;
    print_line(line);
    keep("info", line);
}

void Log::info(const Columns& columns, int most) {
    if (!loud_) return;
    print_line(columns, stdout, most);
    keep("info", join(columns, most));
}

void Log::in_place(const std::function<Columns()>& columns) {
    const double now = steady_seconds();
    if (!loud_ || now < next_in_place_) return;
    next_in_place_ = now + kSecondsInPlace;
    if (screen_of(stdout).escapes) show_in_place(columns());
}

void Log::warn(const std::string& line) {
    if (!loud_) return;
    print_warning(line);
    keep("warning", line);
}

}  // namespace sluice
