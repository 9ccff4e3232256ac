// sluice plan: what a run will take, from its config alone.
#include "train/plan.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/load_args.h"
#include "base/check.h"
#include "base/format.h"
#include "config/load.h"
#include "model/counts.h"
#include "train/step_time.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

std::string bytes(double n) { return format_bytes(n); }

// What is known of a config on a number of ranks, for printing as text and as JSON.
struct Facts {
    const Config& config;
    int64_t ranks;
    const GpuFigures* gpu;  // null: the CPU backend
    Place place;
    Precision precision;
    MemoryPlan memory;
    TrafficPlan traffic;

    Facts(const Config& c, int64_t n, const GpuFigures* device)
        : config(c),
          ranks(n),
          gpu(device),
          place(place_of(mesh_shape(c.model, c.parallel), n, 0)),
          precision(device ? Precision::bf16 : Precision::fp32),
          memory(plan_memory(c, place, precision)),
          traffic(plan_traffic(c, place, device ? 2 : 4, 4)) {}

    std::vector<std::pair<const char*, double>> categories() const {
        return {{"weights", memory.weights},     {"masters", memory.masters},           {"moments", memory.moments},
                {"gradients", memory.gradients}, {"activations", memory.activations()}, {"buffers", memory.buffers},
                {"total", memory.total()}};
    }
    std::vector<std::pair<const char*, double>> groups() const {
        return {{"data", traffic.data},
                {"expert_data", traffic.expert_data},
                {"tensor", traffic.tensor},
                {"expert", traffic.expert},
                {"world", traffic.world}};
    }
    MemoryPlan with(Recompute policy) const {
        Config c = config;
        c.train.recompute = policy;
        return plan_memory(c, place, precision);
    }
    std::string mesh() const {
        const ParallelSpec& p = config.parallel;
        return fmt::format("data {} x tensor {}{}, expert {}, zero {}", place.data, p.tensor,
                           p.sequence ? " with sequence" : "", p.expert, p.zero);
    }
    std::string assumptions() const {
        return fmt::format(
            "{}: dense bf16 peak {:.1f} TFLOP/s, of which GEMMs reach {:.0f} %, grouped GEMMs {:.0f} %, attention "
            "{:.0f} %; "
            "memory {} at {:.1f} TB/s; {:.0f} GB/s to GPUs of a node of {}, {:.0f} GB/s beyond; bf16 weights and "
            "activations, fp32 masters, moments and gradients; only the data group's traffic overlaps",
            gpu->name, gpu->peak / 1e12, 100 * kGemmShare, 100 * kGroupedShare, 100 * kAttentionShare,
            bytes(gpu->memory), gpu->bandwidth / 1e12, gpu->link / 1e9, kGpusPerNode, gpu->network / 1e9);
    }
};

Json json_of(const Facts& f, const std::optional<Fitting>& fitting) {
    const ParameterCounts n = count_parameters(f.config.model);
    Json out;
    out["parameters"] = {{"total", n.total}, {"active", n.active}, {"gates", n.gates}};
    out["flops_per_token"] = flops_per_token(f.config.model, f.config.data.sequence_length);
    out["ranks"] = f.ranks;
    out["mesh"] = {{"data", f.place.data},
                   {"tensor", f.place.tensor},
                   {"expert", f.place.expert},
                   {"sequence", f.place.sequence},
                   {"zero", f.config.parallel.zero}};
    out["micro_batch"] = f.config.train.micro_batch;
    for (const auto& [name, n_bytes] : f.categories()) out["bytes_per_rank"][name] = int64_t(n_bytes);
    for (const auto& [word, policy] : Words<Recompute>::all) {
        const MemoryPlan m = f.with(policy);
        out["activations"][word] = {{"attention", m.attention}, {"ffn", m.ffn}, {"residual", m.residual}};
    }
    for (const auto& [group, n_bytes] : f.groups()) out["bytes_sent_per_step"][group] = int64_t(n_bytes);
    if (!f.gpu) return out;
    const StepTime s = estimate_step(f.config, f.place, *f.gpu);
    out["gpu"] = {{"name", f.gpu->name},
                  {"fits", double(f.memory.total()) <= f.gpu->memory},
                  {"step_seconds", s.seconds()},
                  {"tokens_per_second", s.tokens_per_second},
                  {"mfu", s.mfu},
                  {"assumptions", f.assumptions()}};
    if (fitting) out["gpu"]["nearest"] = {{"ranks", fitting->ranks}, {"changes", fitting->changes}};
    return out;
}

void print_time(const Facts& f) {
    const StepTime s = estimate_step(f.config, f.place, *f.gpu);
    fmt::print("step time, estimated: {}, {} tok/s, MFU {:.1f} %\n", format_seconds(s.seconds()),
               format_count(s.tokens_per_second), 100 * s.mfu);
    const std::pair<const char*, double> parts[] = {
        {"GEMMs", s.gemm},          {"experts", s.experts}, {"attention", s.attention}, {"pointwise", s.memory},
        {"optimizer", s.optimizer}, {"tensor", s.tensor},   {"expert", s.expert},       {"data, exposed", s.data}};
    for (const auto& [name, seconds] : parts)
        if (seconds > 0)
            fmt::print("  {:<14} {:>9}  {:>5.1f} %\n", name, format_seconds(seconds), 100 * seconds / s.seconds());
    fmt::print("  assuming {}\n", f.assumptions());
}

void print(const Facts& f, const std::optional<Fitting>& fitting) {
    const ParameterCounts n = count_parameters(f.config.model);
    fmt::print("parameters       {:>16} total, {} active, {} added by gates\n", n.total, n.active, n.gates);
    fmt::print("FLOPs per token  {:>16.4e} forward and backward, causal attention at half the square\n",
               flops_per_token(f.config.model, f.config.data.sequence_length));
    fmt::print("bytes per rank, {} ranks ({}), {}, micro-batch {} x {} tokens, recompute {}\n", f.ranks, f.mesh(),
               to_word(f.precision), f.config.train.micro_batch, f.config.data.sequence_length,
               to_word(f.config.train.recompute));
    for (const auto& [name, n_bytes] : f.categories())
        fmt::print("  {:<14} {:>16.0f}  {}\n", name, n_bytes, bytes(n_bytes));
    fmt::print("activations by layer kind and recompute policy\n  {:<14} {:>12} {:>12} {:>12} {:>12}\n", "",
               "attention", "ffn", "residual", "together");
    for (const auto& [word, policy] : Words<Recompute>::all) {
        const MemoryPlan m = f.with(policy);
        fmt::print("  {:<14} {:>12} {:>12} {:>12} {:>12}\n", word, bytes(double(m.attention)), bytes(double(m.ffn)),
                   bytes(double(m.residual)), bytes(double(m.activations())));
    }
    if (f.ranks > 1) {
        fmt::print("bytes that a rank hands to collectives in a step, by group\n");
        for (const auto& [group, n_bytes] : f.groups())
            if (n_bytes > 0) fmt::print("  {:<14} {:>16.0f}  {}\n", group, n_bytes, bytes(n_bytes));
    }
    if (!f.gpu) return;
    print_time(f);
    const double over = double(f.memory.total()) - f.gpu->memory;
    if (over <= 0) return fmt::print("fits in {} of {}\n", bytes(f.gpu->memory), f.gpu->name);
    fmt::print("does NOT fit: {} more than {} has\n", bytes(over), f.gpu->name);
    if (!fitting) return fmt::print("no mesh tried fits, with up to {} ranks\n", 64 * f.ranks);
    fmt::print("nearest that fits: --ranks {}", fitting->ranks);
    for (const auto& change : fitting->changes) fmt::print(" {}", change);
    const Facts g(fitting->config, fitting->ranks, f.gpu);
    const StepTime s = estimate_step(g.config, g.place, *g.gpu);
    fmt::print("\n  {} a rank; {} a step, {} tok/s, MFU {:.1f} %\n", bytes(double(g.memory.total())),
               format_seconds(s.seconds()), format_count(s.tokens_per_second), 100 * s.mfu);
}

}  // namespace

int plan_command(const ConfigArgs& args, int ranks, const std::string& gpu_name, bool json) {
    const GpuFigures* gpu = gpu_name.empty() ? nullptr : find_gpu(gpu_name);
    if (!gpu && !gpu_name.empty()) {
        std::string known;
        for (const GpuFigures& g : gpus()) known += (known.empty() ? "" : ", ") + std::string(g.name);
        fail(Exit::config, "--gpu " + gpu_name + ": not known; choose one of " + known);
    }
    const Loaded loaded = load_args(args, Purpose::plan, ranks);
    print_warnings(loaded);
    const Config& config = loaded.config;
    const Facts facts(config, ranks, gpu);
    std::optional<Fitting> fitting;
    if (gpu && double(facts.memory.total()) > gpu->memory) fitting = nearest_that_fits(config, ranks, *gpu);
    if (json)
        fmt::print("{}\n", json_of(facts, fitting).dump());
    else
        print(facts, fitting);
    return 0;
}

}  // namespace sluice
