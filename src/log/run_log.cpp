#include "log/run_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "base/format.h"
#include "base/machine.h"
#include "cli/terminal.h"
#include "config/load.h"
#include "log/banner.h"
#include "log/kept_config.h"
#include "model/counts.h"

namespace sluice {

RunLog::RunLog(const Config& config, const std::filesystem::path& folder, bool speaks)
    : config_(config),
      folder_(folder),
      speaks_(speaks),
      log_(speaks ? folder / "log.txt" : std::filesystem::path(), speaks) {}

void RunLog::open(const RunFacts& facts) {
    facts_ = facts;
    step_.progress.step = facts.step;
    step_.tokens = facts.seen;
    started_ = steady_seconds();
    if (!speaks_) return;
    keep_config(folder_, dump_yaml(config_));
    metrics_.emplace(folder_ / "metrics.jsonl", facts.step);
    metrics_->begin(run_header(config_, facts, wall_time()));
    if (guarded()) spikes_.emplace(folder_ / "spikes.jsonl", facts.next_sample - 1, "first_sample");
    if (config_.log.tensorboard) tensorboard_.emplace(folder_, facts.step + 1);
}

void RunLog::begin(const Origin& origin, const std::function<double(int times)>& gemm_rate) {
    flops_ = flops_per_token(config_.model, config_.data.sequence_length);
    if (facts_.peak == 0) gemm_rate_.emplace([=, this](int times) { return gemm_rate(times) * facts_.ranks; });
    for (const auto& line : banner(config_, folder_.string(), facts_, full_rate())) info(line);
    if (!facts_.attention.empty()) info("attention " + facts_.attention);
    if (const auto crowd = crowded(facts_.local_ranks, facts_.threads, usable_cores()); !crowd.empty()) warn(crowd);
    for (const auto& warning : origin.warnings) warn(warning);
    if (origin.checkpoint)
        info((origin.weights_only ? "weights from " : "resumed from ") + origin.checkpoint->path.string());
}

// ---------------------------------------------------------------- steps
// Depends on the step alone, so that a run that was stopped and resumed has the same rows as one that was not.
bool RunLog::logged() const {
    const int64_t step = step_.progress.step;
    return step == 1 || step % config_.log.every == 0 || step >= config_.train.steps;
}

void RunLog::step(const StepFacts& step) {
    step_ = step;
    seconds_ += step.seconds;
    seconds_since_line_ += step.seconds;
    steps_since_line_++;
    row_ = {{"step", step.progress.step}, {"time", wall_time()}};
    if (logged() || !step.result.applied) {
        if (gemm_rate_) gemm_rate_->at_line(flops_ * line().tokens_per_second);
        log_.info(step_columns(line()), kStepLineColumns);
        keep_step(line());
        seconds_since_line_ = 0;
        steps_since_line_ = 0;
    } else if (step.progress.step == facts_.step + 1) {  // the first step of a start is always shown
        log_.info(step_columns(line()), kStepLineColumns);
    } else {
        log_.in_place([this] { return step_columns(line()); });
    }
    add_look(row_, step.result.look);
    if (!step.result.applied) {
        say_skipped();
        keep_skipped();
    }
    if (!step.beside_save && step_times_.add(step.seconds)) say_busy();
}

StepLine RunLog::line() const {
    StepLine line;
    line.step = step_.progress.step;
    line.steps = config_.train.steps;
    line.loss = step_.result.loss;
    line.grad_norm = step_.result.grad_norm;
    line.lr = step_.result.lr;
    line.seconds = seconds_since_line_ / double(steps_since_line_);
    line.tokens_per_second = double(tokens_a_step()) / line.seconds;
    line.mfu = std::min(1.0, flops_ * line.tokens_per_second / full_rate());
    line.of_gemm = gemm_rate_.has_value();
    line.memory_bytes = double(facts_.bytes);
    line.skipped = step_.progress.skipped;
    line.spikes = step_.progress.spikes;
    line.eta_seconds = line.seconds * double(line.steps - line.step);
    const LayerLook look = look_at_all(step_.result.look);
    line.gate_mean = look.gate_mean;
    line.f_attn = look.f_attn;
    return line;
}

void RunLog::keep_step(const StepLine& line) {
    row_.emplace_back("tokens", step_.tokens);
    row_.emplace_back("loss", line.loss);
    row_.emplace_back("grad_norm", line.grad_norm);
    row_.emplace_back("lr", line.lr);
    row_.emplace_back("tokens_per_second", line.tokens_per_second);
    row_.emplace_back("mfu", line.mfu);
    row_.emplace_back(gemm_rate_ ? "gemm_flops_per_second" : "peak_flops_per_second", full_rate());
    row_.emplace_back("memory_bytes", facts_.bytes);
    row_.emplace_back("seconds", line.seconds);
    row_.emplace_back("skipped", line.skipped);
    if (guarded()) row_.emplace_back("spikes", line.spikes);
    if (!step_.result.routing) return;
    const RoutingResult& routing = *step_.result.routing;
    const Balance balance = config_.model.moe.balance;
    if (balance == Balance::global_batch || balance == Balance::micro_batch)
        row_.emplace_back("balance", routing.balance);
    row_.emplace_back("z", routing.z);
    row_.emplace_back("expert_load", routing.load);
    row_.emplace_back("router_entropy", routing.entropy);
}

void RunLog::say_skipped() {
    const StepResult& r = step_.result;
    const Progress& p = step_.progress;
    const std::string loss = format_fixed(r.loss, 4), norm = format_fixed(r.grad_norm, 3);
    if (!r.spike)
        return warn(
            fmt::format("step {}: loss {}, gradient norm {} is not finite: no rank applied it ({} in a row, {} in all)",
                        p.step, loss, norm, p.skipped_in_a_row, p.skipped));
    const auto level = [](const Level& l) { return format_fixed(l.median, 4) + " MAD " + format_fixed(l.mad, 4); };
    warn(
        fmt::format("step {}: loss {} (median {}), gradient norm {} (median {}) is a spike: no rank applied it ({} in "
                    "a row, {} in all)",
                    p.step, loss, level(r.spike->loss), norm, level(r.spike->grad_norm), r.spike->in_a_row, p.spikes));
}

void RunLog::keep_skipped() {
    if (!spikes_) return;
    const StepResult& r = step_.result;
    MetricsRow row{{"step", step_.progress.step},    {"time", wall_time()}, {"first_sample", r.first_sample},
                   {"samples", config_.train.batch}, {"loss", r.loss},      {"grad_norm", r.grad_norm}};
    if (r.spike)
        row.insert(row.end(), {{"loss_median", r.spike->loss.median},
                               {"loss_mad", r.spike->loss.mad},
                               {"grad_norm_median", r.spike->grad_norm.median},
                               {"grad_norm_mad", r.spike->grad_norm.mad}});
    spikes_->append(row);
}

void RunLog::say_busy() {
    warn(fmt::format(
        "steps take from {} to {}: the cores of this machine are busy. Other programs use them, or threads of this run "
        "({} of {}, {}) wait for one another and spin: give the run fewer threads (OMP_NUM_THREADS) or ranks, or "
        "set OMP_WAIT_POLICY=passive or GOMP_SPINCOUNT=0",
        format_seconds(step_times_.fast()), format_seconds(step_times_.slow()), counted(facts_.ranks, "rank"),
        counted(facts_.threads, "thread"), counted(usable_cores(), "core")));
}

void RunLog::evaluation(const std::string& set, const Evaluation& e) {
    log_.info(evaluation_columns(set, step_.progress.step, e));
    row_.emplace_back("eval/" + set + "/loss", e.loss);
    row_.emplace_back("eval/" + set + "/perplexity", e.perplexity);
    if (e.bits_per_byte) row_.emplace_back("eval/" + set + "/bits_per_byte", *e.bits_per_byte);
    const auto known =
        std::find_if(validation_.begin(), validation_.end(), [&](const auto& known) { return known.first == set; });
    if (known == validation_.end())
        validation_.emplace_back(set, e.loss);
    else
        known->second = e.loss;
}

void RunLog::sample(const std::string& text) { info(fmt::format("sample {} | {}", step_.progress.step, text)); }

void RunLog::keep_row() {
    if (row_.size() <= 2) return;  // step and time
    if (metrics_) metrics_->append(row_);
    if (tensorboard_) tensorboard_->append(step_.progress.step, row_);
}

// ---------------------------------------------------------------- checkpoints, the end
void RunLog::saved(int64_t step, int64_t bytes, double waited_seconds) {
    info(fmt::format("checkpoint {} | {} | waited {}", (folder_ / "checkpoints" / step_name(step)).string(),
                     format_bytes(double(bytes)), format_seconds(waited_seconds)));
}

void RunLog::went_back(int64_t step, int64_t tokens, int64_t next_sample, const std::filesystem::path& aside) {
    const int64_t from = step_.progress.step;
    facts_.step = std::min(facts_.step, step);
    facts_.seen = std::min(facts_.seen, tokens);
    seconds_since_line_ = 0;
    steps_since_line_ = 0;
    if (!speaks_) return;
    warn(fmt::format("step {}: the run goes back to step {}, and goes on with sample {}; what it leaves is in {}", from,
                     step, next_sample, aside.string()));
    spikes_->append({{"step", from}, {"time", wall_time()}, {"first_sample", next_sample}, {"back_to", step}});
    metrics_.emplace(folder_ / "metrics.jsonl", step);
    if (config_.log.tensorboard) tensorboard_.emplace(folder_, step + 1);
}

// "614K tokens | 28.1s | 22.1K tok/s | loss 4.4066 | eval held 4.7635 | runs/quickstart"; time and rate of this start.
std::string RunLog::summary() const {
    std::string text = fmt::format("{} | {}", counted_short(double(step_.tokens), "token"),
                                   format_seconds(steady_seconds() - started_));
    if (step_.tokens > facts_.seen)
        text += fmt::format(" | {} tok/s | loss {}", format_count(double(step_.tokens - facts_.seen) / seconds_),
                            format_fixed(step_.result.loss, 4));
    for (const auto& [set, loss] : validation_) text += fmt::format(" | eval {} {}", set, format_fixed(loss, 4));
    return text + " | " + folder_.string();
}

void RunLog::finished() {
    info(fmt::format("finished: step {0} of {0} is in {1}", config_.train.steps, (folder_ / "checkpoints").string()));
}

void RunLog::stopped() {
    info(fmt::format("stopped at step {} of {} with a checkpoint: start again to go on | {}", step_.progress.step,
                     config_.train.steps, summary()));
}

void RunLog::done() {
    const std::string resumed =
        facts_.step > 0 ? fmt::format(", {} of them in this start", step_.progress.step - facts_.step) : "";
    info(fmt::format("done: {}{} | {}", counted(step_.progress.step, "step"), resumed, summary()));
}

}  // namespace sluice
