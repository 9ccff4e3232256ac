#include "train/run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/file.h"
#include "base/format.h"
#include "base/signals.h"
#include "config/load.h"
#include "kernels/gemm.h"
#include "model/counts.h"
#include "train/checkpoint_writer.h"
#include "train/collective.h"
#include "train/console.h"
#include "train/data.h"
#include "train/data_report.h"
#include "train/evaluate.h"
#include "train/generate.h"
#include "train/metrics.h"
#include "train/resume.h"
#include "train/step.h"
#include "train/tensorboard.h"

namespace sluice {
namespace {

constexpr int64_t kMostSkipped = 10;  // non-finite steps in a row that end a run

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Products go the ways they went before, on this rank or else on any like machine, whatever a timing would say today.
void multiply_as(const std::vector<GemmWays>& before, int64_t rank) {
    const GemmWays* mine = nullptr;
    for (const GemmWays& g : before)
        if (g.machine == gemm_machine() && (!mine || g.ranks.count(rank))) mine = &g;
    std::vector<GemmChoice> choices;
    GemmChoice choice;
    if (mine)
        for (const std::string& line : mine->lines)
            if (from_line(line, choice)) choices.push_back(choice);
    use_gemm_choices(choices);
}

template <class B>
class Run {
 public:
    Run(const Config& config, Comm& comm, const Text& text)
        : config_(config),
          comm_(comm),
          mesh_(comm, mesh_shape(config.model, config.parallel)),
          text_(text),
          folder_(std::filesystem::path(config.run.dir) / config.run.name) {}

    // What can fail on every rank alike, before the first collective of training.
    void open();
    void restore();
    void greet();
    Exit loop();

 private:
    bool master() const { return comm_.rank() == 0; }
    bool due(int64_t every) const { return every > 0 && (step() % every == 0 || last()); }
    int64_t step() const { return trainer_->progress().step; }
    bool last() const { return step() >= config_.train.steps; }

    void load(const Checkpoint& from, bool weights_only);
    std::string mesh_text() const;
    CheckpointInfo info() const;
    void save();
    void finish_save();
    void after_step(const StepResult& result);
    void refuse_divergence(const StepResult& result);
    void log_step(const StepResult& result, MetricsRow& row);
    void evaluate_sets(MetricsRow& row);
    void sample();

    Config config_;
    Comm& comm_;
    Mesh mesh_;
    const Text& text_;
    std::filesystem::path folder_;
    std::unique_ptr<Log> log_;
    std::optional<Metrics> metrics_;
    std::optional<TensorBoard> tensorboard_;
    std::optional<TrainingData> data_;
    std::vector<ValidationData> validation_;
    std::optional<Trainer<B>> trainer_;
    std::optional<CheckpointWriter> writer_;
    Origin origin_;
    int64_t saved_step_ = -1;
    double peak_ = 0, flops_ = 0;  // FLOP/s of all ranks' GEMMs, FLOPs a token
    double training_seconds_ = 0;  // since the last log line: steps alone
    int64_t steps_since_log_ = 0;
};

// ---------------------------------------------------------------- start
template <class B>
void Run<B>::open() {
    const DataSpec& data = config_.data;
    origin_ = find_origin(config_, folder_ / "checkpoints");
    data_.emplace(data, config_.model.vocab, config_.run.seed);
    for (const auto& set : data.validation) validation_.emplace_back(data, set, config_.model.vocab);
    if (config_.sample.every > 0 && !text_.encode)
        fail(Exit::data, "sample.every needs a tokenizer, and none stands beside the shards: give data.tokenizer");
    trainer_.emplace(config_, mesh_);
}

template <class B>
void Run<B>::restore() {
    if (origin_.checkpoint) load(*origin_.checkpoint, origin_.weights_only);
    if (master()) {
        make_folders(folder_ / "checkpoints");
        write_file(folder_ / "config.yaml", dump_yaml(config_));
    }
    log_ = std::make_unique<Log>(master() ? folder_ / "log.txt" : std::filesystem::path(), master());
    if (master()) metrics_.emplace(folder_ / "metrics.jsonl");
    writer_.emplace(folder_ / "checkpoints", config_.checkpoint.async, config_.checkpoint.keep);
}

template <class B>
void Run<B>::load(const Checkpoint& from, bool weights_only) {
    auto state = trainer_->state();
    if (weights_only) state.resize(trainer_->model().tensors().size());  // the weights stand first
    for (const auto& name : load_checkpoint(from, state, weights_only))
        origin_.warnings.push_back("init_from has no '" + name + "': it starts from its initial value");
    if (weights_only) return;
    const CheckpointInfo& info = from.info;
    multiply_as(info.gemm, comm_.rank());
    trainer_->go_on_from({info.step, info.updates, info.skipped, info.skipped_in_a_row}, info.samples);
    saved_step_ = info.step;
}

template <class B>
void Run<B>::greet() {
    if (master() && config_.log.tensorboard) tensorboard_.emplace(folder_);
    const ParameterCounts n = count_parameters(config_.model);
    flops_ = flops_per_token(config_.model, config_.data.sequence_length);
    peak_ = measure_gemm_rate(config_.train.precision == Precision::bf16) * comm_.size();
    log_->info("run " + folder_.string() + " | " + std::to_string(comm_.size()) + " ranks" + mesh_text() + " | seed " +
               std::to_string(config_.run.seed));
    log_->info("model " + format_count(double(n.total)) + " parameters, " + format_count(double(n.gates)) +
               " in gates | " + format_count(flops_) + " FLOPs a token | " + format_bytes(double(trainer_->bytes())) +
               " a rank");
    log_->info(
        "data " + format_count(double(data_->tokens())) + " tokens in " + std::to_string(data_->shards()) +
        " shards | " + format_count(double(config_.train.batch * config_.data.sequence_length)) + " tokens a step, " +
        format_count(double(config_.train.steps * config_.train.batch * config_.data.sequence_length)) + " in all");
    if (master()) {
        const DataReport report = report_data(config_, *data_, validation_);
        for (const auto& line : report.lines) log_->info(line);
        for (const auto& warning : report.warnings) log_->warn(warning);
    }
    log_->info("mfu is counted against the measured GEMM rate, " + format_count(peak_) + "FLOP/s in " +
               to_word(config_.train.precision));
    for (const auto& warning : origin_.warnings) log_->warn(warning);
    if (origin_.checkpoint)
        log_->info((origin_.weights_only ? "weights from " : "resumed from ") + origin_.checkpoint->path.string());
}

// " (data 4 x tensor 2, expert 2, zero 1)" where there is more than data parallelism.
template <class B>
std::string Run<B>::mesh_text() const {
    const ParallelSpec& p = config_.parallel;
    if (p.tensor == 1 && p.expert == 1 && p.zero == 0) return "";
    std::string text = " (data " + std::to_string(mesh_.place.data);
    if (p.tensor > 1) text += " x tensor " + std::to_string(p.tensor) + (p.sequence ? " with sequence" : "");
    if (p.expert > 1) text += ", expert " + std::to_string(p.expert);
    if (p.zero > 0) text += ", zero " + std::to_string(p.zero);
    return text + ")";
}

// ---------------------------------------------------------------- checkpoints
template <class B>
CheckpointInfo Run<B>::info() const {
    const Progress& p = trainer_->progress();
    CheckpointInfo info;
    info.step = p.step;
    info.tokens = trainer_->tokens();
    info.samples = trainer_->consumed();
    info.seed = config_.run.seed;
    info.updates = p.updates;
    info.skipped = p.skipped;
    info.skipped_in_a_row = p.skipped_in_a_row;
    info.config_yaml = dump_yaml(config_);
    info.gemm.push_back({gemm_machine(), {}, {comm_.rank()}});
    for (const GemmChoice& choice : gemm_choices()) info.gemm[0].lines.insert(to_line(choice));
    if (origin_.checkpoint && !origin_.weights_only)
        for (const GemmWays& g : origin_.checkpoint->info.gemm)
            if (g.machine != gemm_machine()) info.gemm.push_back({g.machine, g.lines, {}});
    info.mesh = {{"data", mesh_.place.data},
                 {"tensor", mesh_.place.tensor},
                 {"expert", mesh_.place.expert},
                 {"sequence", mesh_.place.sequence},
                 {"zero", config_.parallel.zero}};
    return info;
}

template <class B>
void Run<B>::save() {
    finish_save();
    writer_->begin(comm_, info(), trainer_->state());
    saved_step_ = step();
    if (!config_.checkpoint.async || last()) finish_save();
}

template <class B>
void Run<B>::finish_save() {
    if (!writer_->pending()) return;
    const double start = now();
    const int64_t bytes = writer_->finish(comm_);
    log_->info("checkpoint " + (folder_ / "checkpoints").string() + " | " + format_bytes(double(bytes)) + " | waited " +
               format_seconds(now() - start));
}

// ---------------------------------------------------------------- the loop
template <class B>
Exit Run<B>::loop() {
    if (last() && saved_step_ >= 0 && saved_step_ >= config_.train.steps) {
        log_->info("finished: step " + std::to_string(step()) + " of " + std::to_string(config_.train.steps) +
                   " is in " + (folder_ / "checkpoints").string());
        return Exit::done;
    }
    greet();
    const Samples samples = [&](int64_t n, int32_t* tokens, int32_t* first) { data_->sample(n, tokens, first); };
    while (!last()) {
        const double start = now();
        const StepResult result = trainer_->step(samples, {stop_requested(), writer_->pending() && writer_->done()});
        training_seconds_ += now() - start;
        steps_since_log_++;
        after_step(result);
        if (result.saved_votes == comm_.size()) finish_save();
        if (config_.checkpoint.every > 0 && step() % config_.checkpoint.every == 0 && !last()) save();
        if (result.stop_votes > 0 && !last()) {
            if (saved_step_ != step()) save();
            finish_save();
            log_->info("stopped at step " + std::to_string(step()) + " with a checkpoint: start again to go on");
            return Exit::stopped;
        }
    }
    if (saved_step_ != step()) save();
    finish_save();
    log_->info("done: step " + std::to_string(step()) + " | " + folder_.string());
    return Exit::done;
}

template <class B>
void Run<B>::after_step(const StepResult& result) {
    MetricsRow row;
    const bool log = due(config_.log.every) || !result.applied;
    row.emplace_back("step", step());
    if (log) log_step(result, row);
    if (!result.applied) refuse_divergence(result);
    if (due(config_.eval.every)) evaluate_sets(row);
    if (metrics_ && row.size() > 1) metrics_->append(row);
    if (tensorboard_ && row.size() > 1) tensorboard_->append(step(), row);
    if (config_.sample.every > 0 && due(config_.sample.every)) sample();
}

template <class B>
void Run<B>::refuse_divergence(const StepResult& result) {
    const Progress& p = trainer_->progress();
    log_->warn("step " + std::to_string(step()) + ": loss " + std::to_string(result.loss) + ", gradient norm " +
               std::to_string(result.grad_norm) + " is not finite: no rank applied it (" +
               std::to_string(p.skipped_in_a_row) + " in a row, " + std::to_string(p.skipped) + " in all)");
    if (p.skipped_in_a_row >= kMostSkipped) {
        MetricsRow row{{"step", step()}, {"skipped", p.skipped}};
        if (metrics_) metrics_->append(row);
        fail(Exit::non_finite,
             "step " + std::to_string(step()) + ": " + std::to_string(kMostSkipped) +
                 " steps in a row were not finite: lower optimizer.lr or raise schedule.warmup_steps");
    }
}

template <class B>
void Run<B>::log_step(const StepResult& result, MetricsRow& row) {
    const double seconds = training_seconds_ / double(steps_since_log_);
    const double tokens_per_second = double(config_.train.batch * config_.data.sequence_length) / seconds;
    const double mfu = flops_ * tokens_per_second / peak_;
    const Progress& p = trainer_->progress();
    StepLine line;
    line.step = step();
    line.steps = config_.train.steps;
    line.loss = result.loss;
    line.grad_norm = result.grad_norm;
    line.lr = result.lr;
    line.tokens_per_second = tokens_per_second;
    line.mfu = mfu;
    line.memory_bytes = double(trainer_->bytes());
    line.seconds = seconds;
    line.skipped = p.skipped;
    line.eta_seconds = seconds * double(config_.train.steps - step());
    log_->info(format_step_line(line));
    row.emplace_back("tokens", trainer_->tokens());
    row.emplace_back("loss", result.loss);
    row.emplace_back("grad_norm", result.grad_norm);
    row.emplace_back("lr", result.lr);
    row.emplace_back("tokens_per_second", tokens_per_second);
    row.emplace_back("mfu", mfu);
    row.emplace_back("memory_bytes", int64_t(trainer_->bytes()));
    row.emplace_back("seconds", seconds);
    row.emplace_back("skipped", p.skipped);
    if (result.routing) {
        const Balance balance = config_.model.moe.balance;
        if (balance == Balance::global_batch || balance == Balance::micro_batch)
            row.emplace_back("balance", result.routing->balance);
        row.emplace_back("z", result.routing->z);
        row.emplace_back("expert_load", result.routing->load);
        row.emplace_back("router_entropy", result.routing->entropy);
    }
    training_seconds_ = 0;
    steps_since_log_ = 0;
}

template <class B>
void Run<B>::evaluate_sets(MetricsRow& row) {
    const EvaluationSpec spec{config_.data.sequence_length, config_.train.micro_batch,
                              config_.eval.batches * config_.train.batch, config_.data.document_mask,
                              master() ? stdout : nullptr};
    for (size_t i = 0; i < validation_.size(); i++) {
        const std::string& name = config_.data.validation[i].name;
        const Evaluation e = evaluate(trainer_->model(), validation_[i], spec);
        log_->info("eval " + name + " | " + format_evaluation(step(), e.loss, e.perplexity, e.bits_per_byte, e.tokens));
        row.emplace_back("eval/" + name + "/loss", e.loss);
        row.emplace_back("eval/" + name + "/perplexity", e.perplexity);
        if (e.bits_per_byte) row.emplace_back("eval/" + name + "/bits_per_byte", *e.bits_per_byte);
    }
}

template <class B>
void Run<B>::sample() {
    std::vector<int32_t> prompt{text_.delimiter};
    for (int32_t id : text_.encode(config_.sample.prompt)) prompt.push_back(id);
    Sampling sampling;
    sampling.tokens = config_.sample.tokens;
    sampling.seed = uint64_t(config_.run.seed);
    const auto ids = generate(trainer_->model(), prompt, config_.data.sequence_length, text_.delimiter, sampling);
    log_->info("sample " + std::to_string(step()) + " | " + config_.sample.prompt + text_.decode(ids));
}

template <class B>
Exit train_on(const Config& config, Comm& comm, const Text& text) {
    Run<B> run(config, comm, text);
    if (const int failed = collectively(comm, [&] { run.open(); })) return Exit(failed);
    if (const int failed = collectively(comm, [&] { run.restore(); })) return Exit(failed);
    return run.loop();
}

}  // namespace

Exit train(const Config& config, Comm& comm, const Text& text) {
    const bool bf16 = config.train.precision == Precision::bf16;
    if (bf16) require_bf16_products();
    return bf16 ? train_on<CpuBf16>(config, comm, text) : train_on<Cpu<float>>(config, comm, text);
}

}  // namespace sluice
