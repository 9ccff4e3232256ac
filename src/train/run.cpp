#include "train/run.h"

#include <fmt/format.h>
#include <omp.h>

#include <filesystem>
#include <optional>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/signals.h"
#include "checkpoint/branch_metrics.h"
#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/resume.h"
#include "checkpoint/run_lock.h"
#include "cli/terminal.h"
#include "config/load.h"
#include "data/data.h"
#include "data/data_report.h"
#include "eval/evaluate.h"
#include "eval/generate.h"
#include "kernels/capability.h"
#include "log/run_log.h"
#include "model/device_groups.h"
#include "model/with_backend.h"
#include "parallel/collective.h"
#include "plan/gpu.h"
#include "plan/memory_check.h"
#include "train/autotune_records.h"
#include "train/step.h"

namespace sluice {
namespace {

constexpr int64_t kMaxSkipped = 10;  // so many non-finite steps in a row end the run
constexpr int64_t kMaxRewinds = 3;   // so often a run goes back without getting a window beyond where it was

template <class B>
class Run {
 public:
    Run(const Config& config, Comm& comm, const MemoryCheck& memory, const OpenText& open_text)
        : config_(config),
          comm_(comm),
          memory_(memory),
          mesh_(comm, mesh_shape(config.model, config.parallel), memory_of<B>(),
                device_groups<B>(comm, config.parallel)),
          open_text_(open_text),
          folder_(std::filesystem::path(config.run.dir) / config.run.name),
          checkpoints_(folder_ / "checkpoints") {}

    // The start, in this order. train_on() runs each on all ranks, so that an error of one rank ends all in order.
    void hold();                           // rank 0 locks the run's folder, and finds where to start
    void open(const std::string& origin);  // opens data and model; origin: rank 0's, as text
    int compare_ranks() { return refuse_other_data(comm_, *data_, config_.data.train.size()); }
    void restore();
    void round_weights() { trainer_->round_weights(); }
    Exit loop();
    std::string origin() const { return origin_text(origin_); }

 private:
    RunFacts facts() const;
    bool is_rank0() const { return comm_.rank() == 0; }
    bool due(int64_t every) const { return every > 0 && (step() % every == 0 || last()); }
    int64_t step() const { return trainer_->progress().step; }
    bool last() const { return step() >= config_.train.steps; }
    bool finished() const { return last() && saved_step_ >= config_.train.steps; }  // an earlier start did it all

    void load(const Checkpoint& from, bool weights_only);
    void start_from_zero(const Checkpoint& from, const std::vector<std::string>& missing);
    CheckpointInfo info() const;
    void save();
    void finish_save();
    void after_step(const StepFacts& step);
    void refuse_divergence();
    Rewinds rewinds() const;
    bool must_go_back(const StepResult& result) const;
    bool go_back_before_spikes();
    void evaluate_sets();
    void sample();

    Config config_;
    Comm& comm_;
    const MemoryCheck& memory_;
    Mesh mesh_;
    const OpenText& open_text_;
    Text text_;
    std::filesystem::path folder_, checkpoints_;
    std::vector<std::unique_ptr<RunLock>> locks_;
    std::optional<RunLog> log_;
    std::optional<TrainingData> data_;
    std::vector<ValidationData> validation_;
    std::optional<Trainer<B>> trainer_;
    std::optional<CheckpointWriter> writer_;
    Origin origin_;
    DataRecord read_;  // the data of this run; on rank 0
    int64_t saved_step_ = -1;
};

// ---------------------------------------------------------------- start
template <class B>
void Run<B>::hold() {
    if (!is_rank0()) return;
    std::vector<std::string> recovered;
    const double wait = std::min(kLockWait, config_.parallel.timeout / 2);  // the other ranks wait too
    locks_ = hold_run(folder_, checkpoints_, wait);
    recover(checkpoints_, recovered);
    for (const auto& line : recovered) print_warning(line);
    origin_ = find_origin(config_, checkpoints_);
}

template <class B>
void Run<B>::open(const std::string& origin) {
    const DataSpec& data = config_.data;
    if (!is_rank0()) origin_ = origin_at(origin);
    try {
        data_.emplace(data, config_.model.vocab, config_.run.seed);
        for (const auto& set : data.validation) validation_.emplace_back(data, set, config_.model.vocab);
    } catch (const Failure&) {
        if (is_rank0()) refuse_lost_data(config_, origin_);
        throw;
    }
    if (is_rank0()) {
        read_ = record_data(data, *data_, validation_);
        compare_data(config_, read_, origin_);
    }
    text_ = open_text_();
    if (config_.sample.every > 0 && !text_.encode)
        fail(Exit::data, "sample.every needs a tokenizer, and none stands beside the shards: give data.tokenizer");
    memory_.allocate([&] { trainer_.emplace(config_, mesh_); });
}

template <class B>
void Run<B>::restore() {
    if (origin_.checkpoint) load(*origin_.checkpoint, origin_.weights_only);
    if (is_rank0()) {
        make_folders(checkpoints_);
        if (origin_.back)
            origin_.warnings.push_back("the run goes back: its later steps are set aside in " +
                                       go_back(checkpoints_, *origin_.back).string());
        if (origin_.takes_rows) begin_metrics(folder_, origin_.checkpoint->path, origin_.checkpoint->info.step);
    }
    log_.emplace(config_, folder_, is_rank0());
    keep_errors_in(folder_ / "log.txt", comm_.size() > 1 ? fmt::format("rank {}:", comm_.rank()) : "");
    if (!finished()) log_->open(facts());
    writer_.emplace(checkpoints_, config_.checkpoint.async, config_.checkpoint.keep, rewinds());
}

template <class B>
void Run<B>::load(const Checkpoint& from, bool weights_only) {
    auto state = trainer_->state();
    if (weights_only) state.resize(trainer_->model().tensors().size());  // weights come first
    const bool other_optimizer = !weights_only && config_of(from).optimizer.kind != config_.optimizer.kind;
    const auto missing = load_checkpoint(from, state, weights_only || other_optimizer);
    if (weights_only) {
        for (const auto& name : missing)
            origin_.warnings.push_back("init_from has no '" + name + "': it starts from its initial value");
        return;
    }
    if (!missing.empty()) start_from_zero(from, missing);
    const CheckpointInfo& info = from.info;
    restore_autotune(info.autotune, comm_.rank());
    trainer_->restore({info.step, info.updates, info.skipped, info.skipped_in_a_row, info.spikes, info.passed_over,
                       info.rewinds, info.furthest},
                      info.samples, info.spike_history.value_or(SpikeHistory()));
    saved_step_ = info.step;
}

// missing: tensors of the state that a checkpoint of another optimizer does not have; weights may not be among them.
template <class B>
void Run<B>::start_from_zero(const Checkpoint& from, const std::vector<std::string>& missing) {
    for (const auto& name : missing)
        if (!is_optimizer_state(name))
            fail(Exit::checkpoint, from.path.string() + ": tensor '" + name + "' is missing");
    origin_.warnings.push_back("of the optimizer's state the checkpoint lacks " +
                               counted(int64_t(missing.size()), "tensor") + ", the first '" + missing[0] +
                               "': what is lacking starts from zero");
}

// ---------------------------------------------------------------- checkpoints
template <class B>
CheckpointInfo Run<B>::info() const {
    const Progress& p = trainer_->progress();
    CheckpointInfo info;
    info.step = p.step;
    info.tokens = trainer_->tokens();
    info.samples = trainer_->consumed_samples();
    info.seed = config_.run.seed;
    info.updates = p.updates;
    info.skipped = p.skipped;
    info.skipped_in_a_row = p.skipped_in_a_row;
    info.passed_over = p.passed_over;
    info.spikes = p.spikes;
    info.rewinds = p.rewinds;
    info.furthest = p.furthest;
    info.spike_history = trainer_->spike_history();
    info.config_yaml = dump_yaml(config_);
    info.branch = origin_.branch;
    info.data = read_;
    const bool resumed = origin_.checkpoint && !origin_.weights_only;
    info.autotune =
        autotune_records(comm_.rank(), resumed ? origin_.checkpoint->info.autotune : std::vector<AutotuneRecord>());
    info.mesh = {{"data", mesh_.coord.data},
                 {"tensor", mesh_.coord.tensor},
                 {"expert", mesh_.coord.expert},
                 {"sequence", mesh_.coord.sequence},
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
    const double start = steady_seconds();
    const int64_t bytes = writer_->finish(comm_);
    log_->saved(saved_step_, bytes, steady_seconds() - start);
}

// ---------------------------------------------------------------- the loop
template <class B>
RunFacts Run<B>::facts() const {
    RunFacts facts;
    facts.device = device_name<B>();
    facts.ranks = comm_.size();
    facts.local_ranks = local_ranks();
    facts.threads = omp_get_max_threads();
    facts.coord = mesh_.coord;
    facts.bytes = int64_t(trainer_->bytes());
    facts.tokens = data_->tokens();
    facts.samples = data_->samples();
    facts.shards = int64_t(data_->shards());
    facts.step = step();
    facts.seen = trainer_->tokens();
    facts.next_sample = trainer_->consumed_samples();
    facts.peak = peak_rate(facts.device, config_.train.precision);
    facts.attention = trainer_->model().attention();
    return facts;
}

template <class B>
Exit Run<B>::loop() {
    if (finished()) {
        for (const auto& warning : origin_.warnings) log_->warn(warning);
        log_->finished();
        return Exit::done;
    }
    log_->begin(origin_, [&](int times) { return gemm_rate<B>(matmul_precision(config_.train.precision), times); });
    if (is_rank0()) {
        const DataReport report = report_data(config_, *data_, validation_);
        for (const auto& line : report.lines) log_->info(line);
        for (const auto& warning : report.warnings) log_->warn(warning);
    }
    const Samples samples = [&](int64_t n, int32_t* tokens, int32_t* doc_start) {
        data_->sample(n, tokens, doc_start);
    };
    const std::function<void()> before_update = [&] { writer_->wait_copied(); };
    while (!last()) {
        const double start = steady_seconds();
        const bool saving = writer_->pending();
        const StepResult result =
            trainer_->step(samples, {stop_requested(), writer_->pending() && writer_->done()}, before_update);
        after_step({result, trainer_->progress(), trainer_->tokens(), steady_seconds() - start, saving});
        if (result.saved_ranks == comm_.size()) finish_save();
        const bool regular = config_.checkpoint.every > 0 && step() % config_.checkpoint.every == 0;
        if (regular && saved_step_ != step() && !last()) save();
        if (result.stop_requests > 0 && !last()) {
            if (saved_step_ != step()) save();
            finish_save();
            log_->stopped();
            return Exit::stopped;
        }
    }
    if (saved_step_ != step()) save();
    finish_save();
    log_->done();
    return Exit::done;
}

template <class B>
void Run<B>::after_step(const StepFacts& step) {
    log_->step(step);
    if (must_go_back(step.result) && go_back_before_spikes()) return;
    if (!step.result.applied) refuse_divergence();
    if (due(config_.eval.every)) evaluate_sets();
    log_->keep_row();
    if (config_.sample.every > 0 && due(config_.sample.every)) sample();
}

template <class B>
void Run<B>::refuse_divergence() {
    if (trainer_->progress().skipped_in_a_row < kMaxSkipped) return;
    log_->keep_row();
    finish_save();
    fail(Exit::non_finite, fmt::format("step {}: {} steps in a row were not finite: lower optimizer.lr or raise "
                                       "schedule.warmup_steps",
                                       step(), kMaxSkipped));
}

// ---------------------------------------------------------------- spikes
template <class B>
Rewinds Run<B>::rewinds() const {
    if (config_.spikes.action != SpikeAction::rewind) return {};
    return {config_.checkpoint.every, config_.spikes.window};
}

// Where skipping has not helped: so many steps in a row were spikes, or not finite.
template <class B>
bool Run<B>::must_go_back(const StepResult& result) const {
    const Progress& p = trainer_->progress();
    if (result.applied || config_.spikes.action != SpikeAction::rewind || p.rewinds >= kMaxRewinds) return false;
    const int64_t most = config_.spikes.most;
    return result.spike ? result.spike->in_a_row >= most : p.skipped_in_a_row >= std::min(most, kMaxSkipped);
}

// Goes back to a checkpoint from before the window, and on with the samples after those of this step. False: there is
// none. The later steps and their rows are set aside, as when a run is resumed from an older step.
template <class B>
bool Run<B>::go_back_before_spikes() {
    finish_save();
    Origin to;
    if (is_rank0()) {
        to.checkpoint = find_rewind(checkpoints_, rewinds(), step(), to.warnings);
        for (const auto& warning : to.warnings) log_->warn(warning);
    }
    const std::string found = from_rank_zero(comm_, origin_text(to));
    if (found.empty()) return false;
    if (!is_rank0()) to = origin_at(found);
    log_->keep_row();
    const Progress left = trainer_->progress();
    const int64_t next_sample = trainer_->consumed_samples();
    load(*to.checkpoint, false);
    round_weights();
    Progress progress = trainer_->progress();
    progress.passed_over += next_sample - trainer_->consumed_samples();
    progress.skipped = left.skipped;
    progress.skipped_in_a_row = 0;
    progress.spikes = left.spikes;
    progress.rewinds = left.rewinds + 1;
    progress.furthest = std::max(left.furthest, left.step);
    SpikeHistory history = to.checkpoint->info.spike_history.value_or(SpikeHistory());
    history.in_a_row = 0;
    trainer_->restore(progress, next_sample, history);
    const std::filesystem::path aside =
        is_rank0() ? go_back(checkpoints_, {progress.step, {}, 0}) : std::filesystem::path();
    log_->went_back(progress.step, trainer_->tokens(), next_sample, aside);
    return true;
}

template <class B>
void Run<B>::evaluate_sets() {
    const EvaluationSpec spec{config_.data.sequence_length, config_.train.micro_batch,
                              config_.eval.batches * config_.train.batch, config_.data.document_mask,
                              is_rank0() ? stdout : nullptr};
    for (size_t i = 0; i < validation_.size(); i++)
        log_->evaluation(config_.data.validation[i].name, evaluate(trainer_->model(), validation_[i], spec));
}

template <class B>
void Run<B>::sample() {
    std::vector<int32_t> prompt{text_.delimiter};
    for (int32_t id : text_.encode(config_.sample.prompt)) prompt.push_back(id);
    Sampling sampling;
    sampling.tokens = config_.sample.tokens;
    sampling.seed = uint64_t(config_.run.seed);
    const auto ids = generate(trainer_->model(), prompt, config_.data.sequence_length, text_.drawn, sampling);
    log_->sample(config_.sample.prompt + text_.decode(ids));
}

template <class B>
Exit train_on(const Config& config, Comm& comm, const OpenText& open_text) {
    const MemoryCheck memory(config, comm, Mode::training, B::kStorage, memory_of<B>());
    if (const int failed = on_all_ranks(comm, [&] { memory.require(); })) return Exit(failed);
    Run<B> run(config, comm, memory, open_text);
    if (const int failed = on_all_ranks(comm, [&] { run.hold(); })) return Exit(failed);
    const std::string origin = from_rank_zero(comm, run.origin());
    if (const int failed = on_all_ranks(comm, [&] { run.open(origin); })) return Exit(failed);
    if (const int failed = run.compare_ranks()) return Exit(failed);
    if (const int failed = on_all_ranks(comm, [&] { run.restore(); })) return Exit(failed);
    run.round_weights();
    return run.loop();
}

}  // namespace

Exit train(const Config& config, Comm& comm, const OpenText& open_text) {
    if (const int failed = on_all_ranks(comm, [&] { require_backend(config); })) return Exit(failed);
    return with_backend(config, [&]<class B>(B) { return train_on<B>(config, comm, open_text); });
}

}  // namespace sluice
