// What a run says and keeps of itself: banner, steps, evaluations and last line, on the console and in log.txt; numbers
// in metrics.jsonl and for TensorBoard. Rank 0 speaks for all; the others take part where all measure.
// Errors: Failure(Exit::disk).
#pragma once
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "config/specs.h"
#include "parallel/mesh.h"
#include "train/console.h"
#include "train/evaluate.h"
#include "train/metrics.h"
#include "train/resume.h"
#include "train/step.h"
#include "train/tensorboard.h"

namespace sluice {

// What the banner tells beside the config.
struct RunFacts {
    int ranks = 1;
    Place place;
    int64_t bytes = 0;               // of a rank: weights, gradients, moments, activations
    int64_t tokens = 0, shards = 0;  // of the training data
};

class RunLog {
 public:
    // Opens log.txt.
    RunLog(const Config& config, const std::filesystem::path& folder, bool speaks);

    void info(const std::string& line) { log_.info(line); }
    void warn(const std::string& line) { log_.warn(line); }

    // A start: opens what keeps numbers, says the banner. All ranks call it together: each times its products.
    void begin(const RunFacts& facts, const Origin& origin);
    // After every step, on all ranks. seconds: of the step alone.
    void step(const StepResult& result, const Progress& progress, double seconds);
    void evaluation(const std::string& set, const Evaluation& evaluation);
    void sample(const std::string& text);
    // Keeps the numbers of this step, where there are any.
    void keep_row();
    void saved(int64_t bytes, double waited_seconds);
    // The last line of a run.
    void finished();  // there was nothing left to do
    void done();
    void stopped();

 private:
    bool due(int64_t every) const;
    void say_step(const StepResult& result);
    void say_skipped(const StepResult& result);

    const Config config_;
    const std::filesystem::path folder_;
    const bool speaks_;
    Log log_;
    std::optional<Metrics> metrics_;
    std::optional<TensorBoard> tensorboard_;
    RunFacts facts_;
    Progress progress_;
    MetricsRow row_;
    double peak_ = 0, flops_ = 0;    // FLOP/s of all ranks' GEMMs, FLOPs a token
    double seconds_since_line_ = 0;  // of steps alone
    int64_t steps_since_line_ = 0;
};

}  // namespace sluice
