// The log of a run: banner, steps, evaluations and last line on the console and in log.txt, numbers in metrics.jsonl
// and for TensorBoard. Rank 0 writes for all; the others take part where all measure. Errors: Failure(Exit::disk).
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/resume.h"
#include "config/specs.h"
#include "eval/evaluate.h"
#include "log/console.h"
#include "log/gemm_rate.h"
#include "log/metrics.h"
#include "log/steadiness.h"
#include "log/step_result.h"
#include "log/tensorboard.h"
#include "parallel/mesh.h"

namespace sluice {

// What the banner contains beside the config.
struct RunFacts {
    std::string device;                           // what computes: "Intel(R) Xeon(R) Processor"
    int ranks = 1, local_ranks = 1, threads = 1;  // local_ranks: on this machine; threads: per rank
    MeshCoord coord;
    int64_t bytes = 0;                            // per rank: weights, gradients, moments, activations
    int64_t tokens = 0, shards = 0, samples = 0;  // of the training data
    int64_t step = 0, seen = 0;                   // last step before this start; tokens trained on until then
    int64_t next_sample = 0;
    double peak = 0;        // FLOP/s of a rank's device by its data sheet; 0: not known, and GEMMs are timed instead
    std::string attention;  // how layers make it; empty where there is one way
};

// One step after it was taken.
struct StepFacts {
    StepResult result;
    Progress progress;
    int64_t tokens;    // trained on so far
    double seconds;    // of this step alone
    bool beside_save;  // a checkpoint was written meanwhile
};

class RunLog {
 public:
    // Opens log.txt.
    RunLog(const Config& config, const std::filesystem::path& folder, bool speaks);

    void info(const std::string& line) { log_.info(line); }
    void warn(const std::string& line) { log_.warn(line); }

    // At a start: opens the files of numbers, and keeps the config.
    void open(const RunFacts& facts);
    // Prints the banner. Collective: where no peak is known each rank measures its GEMM rate by gemm_rate(times), see
    // GemmRate.
    void begin(const Origin& origin, const std::function<double(int times)>& gemm_rate);
    // After every step, on all ranks.
    void step(const StepFacts& step);
    void evaluation(const std::string& set, const Evaluation& evaluation);
    void sample(const std::string& text);
    // Writes the numbers of this step to metrics.jsonl and TensorBoard, if it has any.
    void keep_row();
    void saved(int64_t step, int64_t bytes, double waited_seconds);
    // The run went back to `step`, until which it had trained on so many tokens, and goes on with next_sample. aside:
    // where its later steps and rows are.
    void went_back(int64_t step, int64_t tokens, int64_t next_sample, const std::filesystem::path& aside);
    // The last line of a run: its result and its folder.
    void finished();  // there was nothing left to do
    void done();
    void stopped();

 private:
    int64_t tokens_a_step() const { return config_.train.batch * config_.data.sequence_length; }
    bool logged() const;  // whether this step has a line and a row
    StepLine line() const;
    // FLOP/s that MFU is the share of.
    double full_rate() const { return gemm_rate_ ? gemm_rate_->best() : facts_.peak * facts_.ranks; }
    void keep_step(const StepLine& line);
    bool guarded() const { return config_.spikes.action != SpikeAction::none; }
    void say_skipped();
    void keep_skipped();
    void say_busy();
    std::string summary() const;

    const Config config_;
    const std::filesystem::path folder_;
    const bool speaks_;
    Log log_;
    std::optional<Metrics> metrics_, spikes_;  // spikes: with a guard
    std::optional<TensorBoard> tensorboard_;
    RunFacts facts_;
    StepFacts step_{};  // the latest
    MetricsRow row_;
    std::optional<GemmRate> gemm_rate_;  // of all ranks together; none where the peak is known
    double flops_ = 0;                   // per token
    StepTimes step_times_;
    double started_ = 0, seconds_ = 0;  // steady time of the start; seconds of its steps
    double seconds_since_line_ = 0;     // of steps
    int64_t steps_since_line_ = 0;
    std::vector<std::pair<std::string, double>> validation_;  // the latest losses, in this start
};

}  // namespace sluice
