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
#include "kernels/profile.h"
#include "model/counts.h"
#include "train/step.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

double median(std::vector<double> x) {
    std::sort(x.begin(), x.end());
    return x[x.size() / 2];
}

Json table_of(const Profile& profile, double step_seconds) {
    std::vector<std::pair<std::string, OpTime>> ops(profile.ops.begin(), profile.ops.end());
    std::sort(ops.begin(), ops.end(), [](auto& a, auto& b) { return a.second.seconds > b.second.seconds; });
    Json table = Json::array();
    for (const auto& [op, time] : ops)
        table.push_back(
            {{"op", op}, {"calls", time.calls}, {"seconds", time.seconds}, {"share", time.seconds / step_seconds}});
    return table;
}

}  // namespace

int bench_step_command(Comm& comm, const Config& config, bool json) {
    constexpr int kSteps = 7;
    std::vector<double> seconds, gemm_rates;
    Mesh mesh(comm, mesh_shape(config.model, config.parallel));
    Trainer<Cpu<float>> trainer(config, mesh);
    const auto random_tokens = [&](int64_t sample, int32_t* tokens, int32_t* first) {
        if (first) std::fill_n(first, config.data.sequence_length, 0);
        for (int64_t t = 0; t <= config.data.sequence_length; t++)
            tokens[t] = int32_t(mix(uint64_t(sample), uint64_t(t)) % uint64_t(config.model.vocab));
    };
    ProgressLine progress("bench", "steps", kSteps + 1, json ? stderr : stdout);
    const auto timed_step = [&] {
        const auto start = std::chrono::steady_clock::now();
        trainer.step(random_tokens);
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    timed_step();  // warms up
    Profile profile;
    profile_into(&profile);
    const double profiled_seconds = timed_step();
    profile_into(nullptr);
    for (int i = 0; i < kSteps; i++) {
        if (comm.rank() == 0) progress.at(i + 1);
        comm.barrier();
        double gemm_seconds = 0, gemm_flops = 0;
        for (const auto& [shape, count] : profile.gemms) {
            gemm_seconds += double(count) * measure_gemm(shape);
            gemm_flops += double(count) * shape.flops();
        }
        gemm_rates.push_back(gemm_flops / gemm_seconds * comm.size());
        comm.barrier();
        seconds.push_back(timed_step());
    }
    const double step_seconds = median(seconds), gemm = median(gemm_rates);
    const double tokens_per_second = double(config.train.batch * config.data.sequence_length) / step_seconds;
    const double model = tokens_per_second * flops_per_token(config.model, config.data.sequence_length);
    if (comm.rank() != 0) return 0;
    const Json table = table_of(profile, profiled_seconds);
    if (json) {
        fmt::print("{}\n", Json{{"tokens_per_second", tokens_per_second},
                                {"step_seconds", step_seconds},
                                {"model_flops_per_second", model},
                                {"gemm_flops_per_second", gemm},
                                {"share", model / gemm},
                                {"ops", table}}
                               .dump());
        return 0;
    }
    fmt::print("{} tok/s | {} a step | model {}FLOP/s, {:.1f}% of the {}FLOP/s of the library on its products\n",
               format_count(tokens_per_second), format_seconds(step_seconds), format_count(model), 100 * model / gemm,
               format_count(gemm));
    fmt::print("{:<32}{:>8}{:>12}{:>9}\n", "op, in one step", "calls", "time", "share");
    for (const Json& row : table)
        fmt::print("{:<32}{:>8}{:>12}{:>8.1f}%\n", row["op"].get<std::string>(), row["calls"].get<int64_t>(),
                   format_seconds(row["seconds"].get<double>()), 100 * row["share"].get<double>());
    return 0;
}

}  // namespace sluice
