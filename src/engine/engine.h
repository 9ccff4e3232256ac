// What computes: a backend with all code that depends on it, behind functions that do not. The program holds the CPU's
// engine; others are shared libraries (choose.h).
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/check.h"
#include "engine/opened.h"
#include "eval/evaluate.h"
#include "eval/generate.h"
#include "eval/inspect.h"
#include "kernels/profile.h"
#include "train/run.h"

namespace sluice {

// Steps of a run on synthetic tokens, and what the same GEMMs take alone, measured in turn. On one rank but for
// gemm_rates, FLOP/s of all ranks together.
struct StepBench {
    std::vector<double> seconds, gemm_rates;  // a step each
    Profile profile;                          // of one more step, which took
    double profiled_seconds = 0;
    double peak = 0;  // FLOP/s of all ranks' devices by their data sheet; 0: not known
};
// The ops of several steps on one rank, and the rates of GEMMs (FLOP/s) and copies (bytes/s) that they are compared
// with.
struct KernelBench {
    Profile profile;
    std::vector<double> gemm_rates, copy_rates;  // a step each
};

class Engine {
 public:
    virtual ~Engine() = default;

    // What it computes with: "oneDNN 2.6.3, BLIS 0.9.0". Not for runs: it loads what only some of them need.
    virtual std::string libraries() const = 0;
    // The release of CUDA that it is built with, 13000 for 13.0; 0: it needs no GPU.
    virtual int cuda() const = 0;
    // Before anything below, on the thread that computes: with which of the driver's GPUs; whether the host waits for
    // each kernel, so that an error names the op that meets it. Errors: Failure(Exit::config), and
    // Failure(Exit::out_of_memory) where others have all of the GPU's memory.
    virtual void use_device(int index, bool synchronous) const = 0;

    // Errors: Failure(Exit::config) where this machine cannot compute the config.
    virtual void require(const Config& config) const = 0;
    // Collective. Why the ranks' devices cannot communicate by NCCL, and what to do; empty where they can.
    virtual std::string why_no_nccl(Comm& comm) const = 0;
    // FLOP/s of the best of a few GEMMs in the config's precision, of this process.
    virtual double gemm_rate(const Config& config) const = 0;
    // See train/run.h.
    virtual Exit train(const Config& config, Comm& comm, const OpenText& open_text) const = 0;
    // Collective. Calls evaluated(i, result) of every set, on every rank. Returns an exit code: an error that opening
    // the model meets is printed by one rank.
    using Evaluated = std::function<void(size_t set, const Evaluation& result)>;
    virtual int evaluate(const Opened& opened, Comm& comm, const std::vector<std::unique_ptr<ValidationData>>& sets,
                         const EvaluationSpec& spec, const Evaluated& evaluated) const = 0;
    // Collective; see eval/inspect.h. Returns an exit code, as evaluate().
    virtual int inspect(const Opened& opened, Comm& comm, const InspectedText& text, Inspection& result) const = 0;
    // See eval/generate.h.
    virtual std::vector<int32_t> generate(const Opened& opened, const std::vector<int32_t>& prompt,
                                          const std::vector<int32_t>& drawn, const Sampling& sampling) const = 0;
    // Collective. at(i) is called before step i. Return exit codes, as evaluate().
    using AtStep = std::function<void(int step)>;
    virtual int bench_step(const Config& config, Comm& comm, int steps, const AtStep& at, StepBench& result) const = 0;
    virtual int bench_kernels(const Config& config, Comm& comm, int steps, const AtStep& at,
                              KernelBench& result) const = 0;
};

// The engine that this code is built for: in the program the CPU's, in a shared library its own.
const Engine& built_engine();

}  // namespace sluice
