#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "base/check.h"
#include "base/format.h"
#include "config/load.h"
#include "model/counts.h"
#include "model/model.h"

namespace sluice {

int plan_command(const ConfigArgs& args, int ranks, bool json) {
    Config config = load_config(args.config, args.overrides, Purpose::plan).config;
    resolve_ranks(config, ranks);
    const ParameterCounts parameters = count_parameters(config.model);
    const double flops = flops_per_token(config.model, config.data.sequence_length);
    const ModelBytes bytes = Model<Cpu<float>>::plan(
        config.model, {config.train.micro_batch, config.data.sequence_length}, config.train.recompute, Mode::training);
    const size_t moments = 2 * bytes.weights, total = bytes.total() + moments;
    const std::pair<const char*, size_t> categories[] = {
        {"weights", bytes.weights},           {"gradients", bytes.gradients}, {"moments", moments},
        {"activations", bytes.activations()}, {"buffers", bytes.scratch},     {"total", total}};
    if (json) {
        nlohmann::ordered_json out;
        out["parameters"] = {{"total", parameters.total}, {"active", parameters.active}, {"gates", parameters.gates}};
        out["flops_per_token"] = flops;
        for (const auto& [name, n] : categories) out["bytes_per_rank"][name] = n;
        fmt::print("{}\n", out.dump());
        return 0;
    }
    fmt::print("parameters       {:>16} total, {} active, {} added by gates\n", parameters.total, parameters.active,
               parameters.gates);
    fmt::print("FLOPs per token  {:>16.4e} forward and backward, causal attention at half the square\n", flops);
    fmt::print("bytes per rank, {} ranks, fp32, micro-batch {} x {} tokens, recompute {}\n", ranks,
               config.train.micro_batch, config.data.sequence_length, to_word(config.train.recompute));
    for (const auto& [name, n] : categories) fmt::print("  {:<14} {:>16}  {}\n", name, n, format_bytes(double(n)));
    return 0;
}

}  // namespace sluice
