#include "train/run_log.h"

#include <fmt/format.h>

#include "base/format.h"
#include "kernels/gemm.h"
#include "model/counts.h"
#include "train/banner.h"

namespace sluice {

RunLog::RunLog(const Config& config, const std::filesystem::path& folder, bool speaks)
    : config_(config),
      folder_(folder),
      speaks_(speaks),
      log_(speaks ? folder / "log.txt" : std::filesystem::path(), speaks) {}

bool RunLog::due(int64_t every) const {
    return every > 0 && (progress_.step % every == 0 || progress_.step >= config_.train.steps);
}

void RunLog::begin(const RunFacts& facts, const Origin& origin) {
    facts_ = facts;
    if (speaks_) metrics_.emplace(folder_ / "metrics.jsonl");
    if (speaks_ && config_.log.tensorboard) tensorboard_.emplace(folder_);
    flops_ = flops_per_token(config_.model, config_.data.sequence_length);
    peak_ = measure_gemm_rate(config_.train.precision == Precision::bf16) * facts.ranks;
    for (const auto& line : banner(config_, folder_.string(), facts, peak_)) info(line);
    for (const auto& warning : origin.warnings) warn(warning);
    if (origin.checkpoint)
        info((origin.weights_only ? "weights from " : "resumed from ") + origin.checkpoint->path.string());
}

// ---------------------------------------------------------------- steps
void RunLog::step(const StepResult& result, const Progress& progress, double seconds) {
    progress_ = progress;
    seconds_since_line_ += seconds;
    steps_since_line_++;
    row_ = {{"step", progress.step}};
    if (due(config_.log.every) || !result.applied) say_step(result);
    if (!result.applied) say_skipped(result);
}

void RunLog::say_step(const StepResult& result) {
    const int64_t tokens = config_.train.batch * config_.data.sequence_length;
    StepLine line;
    line.step = progress_.step;
    line.steps = config_.train.steps;
    line.loss = result.loss;
    line.grad_norm = result.grad_norm;
    line.lr = result.lr;
    line.seconds = seconds_since_line_ / double(steps_since_line_);
    line.tokens_per_second = double(tokens) / line.seconds;
    line.mfu = flops_ * line.tokens_per_second / peak_;
    line.memory_bytes = double(facts_.bytes);
    line.skipped = progress_.skipped;
    line.eta_seconds = line.seconds * double(line.steps - line.step);
    info(format_step_line(line));
    row_.emplace_back("tokens", progress_.step * tokens);
    row_.emplace_back("loss", line.loss);
    row_.emplace_back("grad_norm", line.grad_norm);
    row_.emplace_back("lr", line.lr);
    row_.emplace_back("tokens_per_second", line.tokens_per_second);
    row_.emplace_back("mfu", line.mfu);
    row_.emplace_back("memory_bytes", facts_.bytes);
    row_.emplace_back("seconds", line.seconds);
    row_.emplace_back("skipped", progress_.skipped);
    if (result.routing) {
        const Balance balance = config_.model.moe.balance;
        if (balance == Balance::global_batch || balance == Balance::micro_batch)
            row_.emplace_back("balance", result.routing->balance);
        row_.emplace_back("z", result.routing->z);
        row_.emplace_back("expert_load", result.routing->load);
        row_.emplace_back("router_entropy", result.routing->entropy);
    }
    seconds_since_line_ = 0;
    steps_since_line_ = 0;
}

void RunLog::say_skipped(const StepResult& result) {
    warn(fmt::format("step {}: loss {}, gradient norm {} is not finite: no rank applied it ({} in a row, {} in all)",
                     progress_.step, result.loss, result.grad_norm, progress_.skipped_in_a_row, progress_.skipped));
}

void RunLog::evaluation(const std::string& set, const Evaluation& e) {
    info("eval " + set + " | " + format_evaluation(progress_.step, e.loss, e.perplexity, e.bits_per_byte, e.tokens));
    row_.emplace_back("eval/" + set + "/loss", e.loss);
    row_.emplace_back("eval/" + set + "/perplexity", e.perplexity);
    if (e.bits_per_byte) row_.emplace_back("eval/" + set + "/bits_per_byte", *e.bits_per_byte);
}

void RunLog::sample(const std::string& text) { info(fmt::format("sample {} | {}", progress_.step, text)); }

void RunLog::keep_row() {
    if (row_.size() == 1) return;
    if (metrics_) metrics_->append(row_);
    if (tensorboard_) tensorboard_->append(progress_.step, row_);
}

// ---------------------------------------------------------------- checkpoints, the end
void RunLog::saved(int64_t bytes, double waited_seconds) {
    info(fmt::format("checkpoint {} | {} | waited {}", (folder_ / "checkpoints").string(), format_bytes(double(bytes)),
                     format_seconds(waited_seconds)));
}

void RunLog::finished() {
    info(fmt::format("finished: step {0} of {0} is in {1}", config_.train.steps, (folder_ / "checkpoints").string()));
}

void RunLog::stopped() {
    info(fmt::format("stopped at step {} with a checkpoint: start again to go on", progress_.step));
}

void RunLog::done() { info(fmt::format("done: step {} | {}", progress_.step, folder_.string())); }

}  // namespace sluice
