// sluice bench step: whole training steps on made-up tokens, against the rate of this rank's GEMMs measured in the same
// run.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "base/format.h"
#include "base/rng.h"
#include "base/terminal.h"
#include "kernels/gemm_rate.h"
#include "model/counts.h"
#include "train/step.h"

namespace sluice {
namespace {

double median(std::vector<double> x) {
    std::sort(x.begin(), x.end());
    return x[x.size() / 2];
}

}  // namespace

int bench_step_command(Comm& comm, const Config& config, bool json) {
    constexpr int kSteps = 7;
    std::vector<double> rates, seconds;
    Mesh mesh(comm, mesh_shape(config.model, config.parallel));
    Trainer<Cpu<float>> trainer(config, mesh);
    const auto random_tokens = [&](int64_t sample, int32_t* tokens, int32_t* first) {
        if (first) std::fill_n(first, config.data.sequence_length, 0);
        for (int64_t t = 0; t <= config.data.sequence_length; t++)
            tokens[t] = int32_t(mix(uint64_t(sample), uint64_t(t)) % uint64_t(config.model.vocab));
    };
    ProgressLine progress("bench", "steps", kSteps + 1, json ? stderr : stdout);
    for (int i = 0; i < kSteps + 1; i++) {  // the first warms up
        if (comm.rank() == 0) progress.at(i);
        const double rate = measure_gemm_rate() * comm.size();
        const auto start = std::chrono::steady_clock::now();
        trainer.step(random_tokens);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        if (i == 0) continue;
        rates.push_back(rate);
        seconds.push_back(took.count());
    }
    const double step_seconds = median(seconds), gemm = median(rates);
    const double tokens_per_second = double(config.train.batch * config.data.sequence_length) / step_seconds;
    const double model = tokens_per_second * flops_per_token(config.model, config.data.sequence_length);
    if (comm.rank() != 0) return 0;
    if (json)
        fmt::print("{}\n", nlohmann::ordered_json{{"tokens_per_second", tokens_per_second},
                                                  {"step_seconds", step_seconds},
                                                  {"model_flops_per_second", model},
                                                  {"gemm_flops_per_second", gemm},
                                                  {"share", model / gemm}}
                               .dump());
    else
        fmt::print("{} tok/s | {} a step | model {}FLOP/s, {:.1f}% of the GEMMs' {}FLOP/s\n",
                   format_count(tokens_per_second), format_seconds(step_seconds), format_count(model),
                   100 * model / gemm, format_count(gemm));
    return 0;
}

}  // namespace sluice
