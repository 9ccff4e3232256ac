// A plan as text.
#include <fmt/format.h>

#include <algorithm>

#include "apps/plan_report.h"
#include "base/format.h"
#include "model/counts.h"

namespace sluice {
namespace {

std::string bytes(double n) { return format_bytes(n); }

std::string ranks(int64_t n) { return fmt::format("{} rank{}", n, n == 1 ? "" : "s"); }

// Short times with three digits.
std::string seconds(double s) { return s < 0.0995 ? fmt::format("{:.3g}ms", 1000 * s) : format_seconds(s); }

std::string mesh(const MeshCoord& coord, const Config& c) {
    return fmt::format("data {} x tensor {}{}, expert {}, zero {}", coord.data, coord.tensor,
                       coord.sequence ? " with sequence" : "", coord.expert, c.parallel.zero);
}

std::string speed(const StepTime& s, int64_t ranks) {
    return fmt::format("{} a step, {} tok/s, {} a GPU, MFU {:.1f} %", seconds(s.seconds()),
                       format_count(s.tokens_per_second), format_count(s.tokens_per_second / double(ranks)),
                       100 * s.mfu);
}

void print_model(const PlanReport& r) {
    const ParameterCounts n = count_parameters(r.config.model);
    const int64_t length = r.config.data.sequence_length;
    fmt::print("parameters       {:>16} total, {} active, {} added by gates\n", n.total, n.active, n.gates);
    fmt::print(
        "FLOPs per token  {:>16.4e} forward and backward, causal attention at half the square ({:.4e} with all of "
        "it)\n",
        flops_per_token(r.config.model, length), flops_per_token_full_square(r.config.model, length));
}

void print_run(const PlanReport& r) {
    const double checkpoint = double(checkpoint_bytes(r.config.model, r.config.optimizer));
    if (const auto run = r.run()) {
        fmt::print("run              {} steps x {} tokens = {} tokens", r.config.train.steps,
                   format_count(r.tokens_per_step()), format_count(run->tokens));
        if (r.gpu)
            fmt::print("; estimated {}, {:.4g} GPU hours, without evaluations and checkpoints",
                       run->days() < 0.01 ? seconds(run->seconds) : fmt::format("{:.2f} days", run->days()),
                       run->gpu_hours);
        fmt::print("\n");
    } else {
        fmt::print("step             {} tokens\n", format_count(r.tokens_per_step()));
    }
    const int64_t keep = r.config.checkpoint.keep;
    fmt::print("checkpoint       {:>16.0f} bytes, {}", checkpoint, bytes(checkpoint));
    if (keep > 0)
        fmt::print("; {} are kept, {} with the one being written", keep, bytes(double(keep + 1) * checkpoint));
    fmt::print("\n");
}

void print_memory(const PlanReport& r) {
    const bool products = !r.on_gpu() && r.config.train.precision == Precision::bf16;
    fmt::print("bytes per rank, {} ({}), {}, micro-batch {} x {} tokens{}, recompute {}\n", ranks(r.ranks),
               mesh(r.coord, r.config),
               products ? "bf16 products, all stored in fp32" : enum_name(r.config.train.precision),
               r.config.train.micro_batch, r.config.data.sequence_length,
               !r.micro_batch_chosen ? ""
               : r.fits()            ? " (the largest that fits)"
                                     : " (and even that does not fit)",
               enum_name(r.config.train.recompute));
    if (r.micro_batch_chosen && r.config.train.micro_batch != r.share)
        fmt::print(
            "  the config gives no train.micro_batch, and training then takes a rank's whole share, {}: give it\n",
            r.share);
    const bool experts = r.balanced.total() != r.memory.total();
    if (experts) fmt::print("  {:<14} {:>16}  {:<8} {}\n", "", "worst case", "", "with experts evenly loaded");
    const auto all = r.categories(r.memory), even = r.categories(r.balanced);
    for (size_t i = 0; i < all.size(); i++) {
        fmt::print("  {:<14} {:>16.0f}  ", all[i].first, all[i].second);
        if (experts)
            fmt::print("{:<8} {:>16.0f}  {}\n", bytes(all[i].second), even[i].second, bytes(even[i].second));
        else
            fmt::print("{}\n", bytes(all[i].second));
    }
    if (experts)
        fmt::print("  experts' rows are reserved for the worst case: all picks of the expert group on one rank\n");
    else if (r.config.model.moe.experts > 0)
        fmt::print("  experts' rows take as much in the worst case as evenly loaded: every expert is on every rank\n");
}

void print_activations(const PlanReport& r) {
    const bool experts = r.balanced.total() != r.memory.total();
    fmt::print("activations by layer kind and recompute policy\n  {:<14} {:>12} {:>12} {:>12} {:>12}{}\n", "",
               "attention", "ffn", "residual", "together", experts ? "  evenly loaded" : "");
    for (const auto& [word, policy] : EnumNames<Recompute>::all) {
        const MemoryPlan m = r.memory_with(policy, false);
        fmt::print("  {:<14} {:>12} {:>12} {:>12} {:>12}", word, bytes(double(m.attention)), bytes(double(m.ffn)),
                   bytes(double(m.residual)), bytes(double(m.activations())));
        if (experts) fmt::print(" {:>14}", bytes(double(r.memory_with(policy, true).activations())));
        fmt::print("\n");
    }
}

void print_traffic(const PlanReport& r) {
    if (r.ranks == 1) return;
    fmt::print("bytes that a rank hands to collectives in a step, by group, and what it sends and receives for them\n");
    for (const auto& g : r.groups())
        if (g.handed > 0)
            fmt::print("  {:<14} {:>16.0f}  {:<8} {:>16.0f}  {}\n", g.group, g.handed, bytes(g.handed), g.wire,
                       bytes(g.wire));
}

void print_time(const PlanReport& r) {
    const StepTime& s = r.estimate->time;
    fmt::print("step time, estimated: {}\n", speed(s, r.ranks));
    fmt::print("  MFU counts causal attention, over the {} peak of {:.1f} TFLOP/s; with the full square {:.1f} %\n",
               enum_name(r.config.train.precision), r.gpu->peak(r.config.train.precision) / 1e12,
               100 * s.mfu_full_square);
    for (const auto& [name, taken] : parts(s))
        if (taken > 0) fmt::print("  {:<14} {:>9}  {:>5.1f} %\n", name, seconds(taken), 100 * taken / s.seconds());
    fmt::print("  {}\n  assuming {}\n", kEstimateNote,
               assumptions(*r.gpu, r.config.train.precision, r.estimate->reserve));
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += " " + word;
    return text;
}

void print_fit(const PlanReport& r) {
    const double over = r.estimate->bytes() - r.gpu->memory;
    if (over <= 0) return fmt::print("fits in {} of {}\n", bytes(r.gpu->memory), r.gpu->name);
    fmt::print("does NOT fit: {} more than the {} of {}\n", bytes(over), bytes(r.gpu->memory), r.gpu->name);
    if (r.found->settings.empty())
        return fmt::print("nothing that was tried fits, with up to {} ranks\n",
                          std::min(r.ranks << kMostDoublings, kMostPlannedRanks));
    const Estimate& best = r.found->settings[0];
    if (!r.found->kept) fmt::print("nothing fits with the keys of the mesh as they are given\n");
    fmt::print("nearest that fits: --ranks {}{}\n  {} a rank; {}\n", best.ranks, joined(r.changes(best)),
               bytes(best.bytes()), speed(best.time, best.ranks));
}

void print_search(const PlanReport& r) {
    const std::vector<Estimate>& settings = r.found->settings;
    if (settings.empty()) return;
    fmt::print("fastest settings that fit {} x {}, each with its largest micro-batch{}:\n", settings[0].ranks,
               r.gpu->name,
               !r.kept.any()   ? ""
               : r.found->kept ? "; keys of the mesh that are given stay"
                               : "; nothing fits with the keys of the mesh that are given");
    fmt::print("  {:>2} {:>6} {:>6} {:>8} {:>6} {:>4} {:>9} {:>11} {:>8} {:>8} {:>11} {:>6}\n", "", "data", "tensor",
               "sequence", "expert", "zero", "recompute", "micro-batch", "memory", "step", "tok/s a GPU", "MFU");
    for (size_t i = 0; i < std::min(kBestSettings, settings.size()); i++) {
        const Estimate& e = settings[i];
        fmt::print("  {:>2} {:>6} {:>6} {:>8} {:>6} {:>4} {:>9} {:>11} {:>8} {:>8} {:>11} {:>5.1f}%\n", i + 1,
                   e.coord.data, e.coord.tensor, e.coord.sequence ? "yes" : "no", e.coord.expert,
                   e.config.parallel.zero, enum_name(e.config.train.recompute), e.config.train.micro_batch,
                   bytes(e.bytes()), seconds(e.time.seconds()),
                   format_count(e.time.tokens_per_second / double(e.ranks)), 100 * e.time.mfu);
    }
    fmt::print("the first: --ranks {}{}\n", settings[0].ranks, joined(r.changes(settings[0])));
    if (const auto& faster = r.found->faster)
        fmt::print("without the given keys of the mesh: --ranks {}{}\n  {} a rank; {}\n", faster->ranks,
                   joined(r.changes(*faster)), bytes(faster->bytes()), speed(faster->time, faster->ranks));
}

}  // namespace

void print_plan(const PlanReport& r, bool searched) {
    print_model(r);
    print_run(r);
    print_memory(r);
    print_activations(r);
    print_traffic(r);
    if (!r.gpu) return;
    print_time(r);
    print_fit(r);
    if (searched) print_search(r);
}

}  // namespace sluice
