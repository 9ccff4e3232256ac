#include "train/banner.h"

#include <fmt/format.h>

#include "base/format.h"
#include "model/counts.h"

namespace sluice {
namespace {

// " (data 4 x tensor 2, expert 2, zero 1)" where there is more than data parallelism.
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
    return fmt::format("data {} tokens in {} shards | {} tokens a step, {} in all", format_count(double(facts.tokens)),
                       facts.shards, format_count(step), format_count(double(config.train.steps) * step));
}

}  // namespace

std::vector<std::string> banner(const Config& config, const std::string& folder, const RunFacts& facts,
                                double gemm_rate) {
    return {fmt::format("run {} | {} ranks{} | seed {}", folder, facts.ranks,
                        mesh_text(config.parallel, facts.place.data), config.run.seed),
            model_line(config, facts), data_line(config, facts),
            fmt::format("mfu is counted against the measured GEMM rate, {}FLOP/s in {}", format_count(gemm_rate),
                        to_word(config.train.precision))};
}

}  // namespace sluice
