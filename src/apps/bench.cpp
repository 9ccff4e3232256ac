// sluice bench: training steps on synthetic tokens. `step` measures whole steps, and compares their FLOP/s with those
// of their GEMMs alone, measured in the same run. `kernels` measures each op of a step at each of its sizes.
#include <fmt/format.h>

#include <algorithm>

#include "apps/commands.h"
#include "base/check.h"
#include "base/format.h"
#include "base/json.h"
#include "base/median.h"
#include "cli/terminal.h"
#include "engine/choose.h"
#include "engine/nvml.h"
#include "kernels/profile.h"
#include "model/counts.h"

namespace sluice {
namespace {

// Rows of a profile, those that took longest first.
using Row = std::pair<std::string, OpTime>;
std::vector<Row> sorted(std::vector<Row> rows) {
    std::stable_sort(rows.begin(), rows.end(), [](auto& a, auto& b) { return a.second.seconds > b.second.seconds; });
    return rows;
}
std::vector<Row> by_op(const Profile& profile) {
    std::map<std::string, OpTime> ops;
    for (const auto& [key, time] : profile.ops) {
        ops[key.first].calls += time.calls;
        ops[key.first].seconds += time.seconds;
    }
    return sorted({ops.begin(), ops.end()});
}
std::vector<Row> by_op_and_size(const Profile& profile) {
    std::vector<Row> rows;
    for (const auto& [key, time] : profile.ops) rows.emplace_back(key.first, time);
    return sorted(std::move(rows));
}

std::string size_text(const std::array<int64_t, 3>& size) {
    std::string text;
    for (const int64_t extent : size)
        if (extent > 0) text += (text.empty() ? "" : "x") + std::to_string(extent);
    return text;
}

}  // namespace

int bench_step_command(Comm& comm, const Config& config, bool json) {
    constexpr int kSteps = 7;
    const Engine* engine = nullptr;
    if (const int failed = choose_engine(config, comm, engine)) return failed;
    ProgressLine progress("bench", "steps", kSteps + 1, json ? stderr : stdout);
    StepBench measured;
    const auto at = [&](int i) {
        if (comm.rank() == 0) progress.at(i + 1);
    };
    if (const int failed = engine->bench_step(config, comm, kSteps, at, measured)) return failed;
    const auto& [seconds, gemm_rates, profile, profiled_seconds, peak] = measured;
    const double step_seconds = median_of(seconds), gemm = median_of(gemm_rates);
    const double tokens_per_second = double(config.train.batch * config.data.sequence_length) / step_seconds;
    const double model = tokens_per_second * flops_per_token(config.model, config.data.sequence_length);
    if (comm.rank() != 0) return 0;
    const std::optional<GpuState> gpu = chosen_gpu() ? gpu_state(chosen_gpu()->id) : std::nullopt;
    if (json) {
        Json table = Json::array();
        for (const auto& [op, time] : by_op(profile))
            table.push_back({{"op", op},
                             {"calls", time.calls},
                             {"seconds", time.seconds},
                             {"share", time.seconds / profiled_seconds}});
        Json all{
            {"tokens_per_second", tokens_per_second}, {"step_seconds", step_seconds}, {"model_flops_per_second", model},
            {"gemm_flops_per_second", gemm},          {"share", model / gemm},        {"ops", table}};
        if (peak > 0) all.update({{"peak_flops_per_second", peak}, {"mfu", model / peak}});
        if (gpu)
            all["gpu"] = {{"clock_mhz", gpu->clock},
                          {"most_clock_mhz", gpu->most_clock},
                          {"watts", gpu->watts},
                          {"celsius", gpu->celsius}};
        fmt::print("{}\n", all.dump());
        return 0;
    }
    fmt::print("{} tok/s | {} a step | model {}FLOP/s, {:.1f}% of the {}FLOP/s of the library on its products\n",
               format_count(tokens_per_second), format_seconds(step_seconds), format_count(model), 100 * model / gemm,
               format_count(gemm));
    if (peak > 0) fmt::print("mfu {:.1f}% of the data sheet's {}FLOP/s\n", 100 * model / peak, format_count(peak));
    if (gpu)
        fmt::print("the first rank's GPU after the steps: {} of {} MHz, {:.0f} W, {} C\n", gpu->clock, gpu->most_clock,
                   gpu->watts, gpu->celsius);
    fmt::print("{:<32}{:>8}{:>12}{:>9}\n", "op, in one step", "calls", "time", "share");
    for (const auto& [op, time] : by_op(profile))
        fmt::print("{:<32}{:>8}{:>12}{:>8.1f}%\n", op, time.calls, format_seconds(time.seconds),
                   100 * time.seconds / profiled_seconds);
    return 0;
}

int bench_kernels_command(Comm& comm, const Config& config, bool json) {
    constexpr int kSteps = 5;
    const Engine* engine = nullptr;
    if (const int failed = choose_engine(config, comm, engine)) return failed;
    ProgressLine progress("bench", "steps", kSteps, json ? stderr : stdout);
    KernelBench measured;
    const auto at = [&](int i) {
        if (comm.rank() == 0) progress.at(i);
    };
    if (const int failed = engine->bench_kernels(config, comm, kSteps, at, measured)) return failed;
    const auto& [profile, gemm_rates, copy_rates] = measured;
    const double gemm = median_of(gemm_rates), copy = median_of(copy_rates);
    if (comm.rank() != 0) return 0;
    Json table = Json::array();
    for (const auto& [op, time] : by_op_and_size(profile)) {
        const bool product = time.work.flops > 0;
        // 0: how much it has to do the host does not know.
        const double rate = (product ? time.work.flops : time.work.bytes) / time.seconds;
        table.push_back({{"op", op},
                         {"size", size_text(time.work.size)},
                         {"calls", double(time.calls) / kSteps},
                         {"seconds", time.seconds / double(time.calls)},
                         {product ? "flops_per_second" : "bytes_per_second", rate},
                         {"share", rate / (product ? gemm : copy)}});
    }
    if (json) {
        const Json all{{"gemm_flops_per_second", gemm}, {"copy_bytes_per_second", copy}, {"kernels", table}};
        fmt::print("{}\n", all.dump());
        return 0;
    }
    fmt::print("of one rank: {}FLOP/s is the library's on the model's products, {}B/s that of a copy beyond caches\n",
               format_count(gemm), format_count(copy));
    fmt::print("{:<32}{:<20}{:>7}{:>12}{:>14}{:>8}\n", "op", "size", "calls", "time a call", "rate", "share");
    for (const Json& row : table) {
        const bool product = row.contains("flops_per_second");
        const double rate = row[product ? "flops_per_second" : "bytes_per_second"];
        fmt::print("{:<32}{:<20}{:>7.5g}{:>10.3f}ms{:>14}{:>7.0f}%\n", row["op"].get<std::string>(),
                   row["size"].get<std::string>(), row["calls"].get<double>(), 1e3 * row["seconds"].get<double>(),
                   rate > 0 ? format_count(rate) + (product ? "FLOP/s" : "B/s") : "-",
                   100 * row["share"].get<double>());
    }
    return 0;
}

}  // namespace sluice
