#include "log/banner.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/format.h"
#include "base/hash.h"
#include "base/machine.h"
#include "base/version.h"
#include "config/load.h"
#include "data/data_facts.h"
#include "model/counts.h"

namespace sluice {
namespace {

std::string machine_text(const RunFacts& facts) {
    return fmt::format("{}, {}", facts.device, counted(usable_cores(), "core"));
}

// " (data 4 x tensor 2, expert 2, zero 1)", or empty with data parallelism only.
std::string mesh_text(const ParallelSpec& p, int64_t data_ranks) {
    if (p.tensor == 1 && p.expert == 1 && p.zero == 0) return "";
    std::string text = fmt::format(" (data {}", data_ranks);
    if (p.tensor > 1) text += fmt::format(" x tensor {}{}", p.tensor, p.sequence ? " with sequence" : "");
    if (p.expert > 1) text += fmt::format(", expert {}", p.expert);
    if (p.zero > 0) text += fmt::format(", zero {}", p.zero);
    return text + ")";
}

std::string model_line(const Config& config, const RunFacts& facts) {
    const ParameterCounts n = count_parameters(config.model);
    return fmt::format("model {} parameters, {} in gates | {} FLOPs a token | {} a rank", format_count(double(n.total)),
                       format_count(double(n.gates)),
                       format_count(flops_per_token(config.model, config.data.sequence_length)),
                       format_bytes(double(facts.bytes)));
}

std::string data_line(const Config& config, const RunFacts& facts) {
    const double step = double(config.train.batch * config.data.sequence_length);
    return fmt::format("data {} in {} | {} a step, {} in all: {}", counted_short(double(facts.tokens), "token"),
                       counted(facts.shards, "shard"), counted_short(step, "token"),
                       format_count(double(config.train.steps) * step),
                       format_epochs(epochs_of(config, facts.samples)));
}

}  // namespace

std::vector<std::string> banner(const Config& config, const std::string& folder, const RunFacts& facts,
                                double full_rate) {
    return {fmt::format("run {} | {}{} | seed {}", folder, counted(facts.ranks, "rank"),
                        mesh_text(config.parallel, facts.coord.data), config.run.seed),
            fmt::format("sluice {} | {} | {} a rank", build(), machine_text(facts), counted(facts.threads, "thread")),
            model_line(config, facts), data_line(config, facts),
            facts.peak > 0
                ? fmt::format("mfu is the share of the data sheet's peak: {}FLOP/s in {}", format_count(full_rate),
                              enum_name(config.train.precision))
                : fmt::format(
                      "mfu is the share of this machine's GEMM rate, the best that was timed: {}FLOP/s in {} so far",
                      format_count(full_rate), enum_name(config.train.precision))};
}

std::string crowded(int ranks, int threads, int cores) {
    if (threads == 1 || ranks * threads <= cores) return "";
    return fmt::format(
        "{} of {} share {}: threads that wait spin and keep others from working, which may cost several "
        "times the speed: set OMP_NUM_THREADS={}, or OMP_WAIT_POLICY=passive",
        counted(ranks, "rank"), counted(threads, "thread"), counted(cores, "core"), std::max(1, cores / ranks));
}

Json run_header(const Config& config, const RunFacts& facts, double time) {
    const std::string yaml = dump_yaml(config);
    Hash hash;
    hash.add(yaml.data(), yaml.size());
    return {{"version", version()}, {"commit", commit()},       {"machine", host_name() + ": " + machine_text(facts)},
            {"ranks", facts.ranks}, {"threads", facts.threads}, {"config_hash", hash.hex()},
            {"time", time}};
}

}  // namespace sluice
