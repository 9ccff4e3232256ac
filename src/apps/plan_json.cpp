// A plan as JSON: every figure of plan_text.cpp as a number.
#include "apps/plan_report.h"
#include "base/json.h"
#include "model/counts.h"

namespace sluice {
namespace {

using Out = Json;

Out mesh_json(const MeshCoord& coord, const Config& c) {
    return {{"data", coord.data},
            {"tensor", coord.tensor},
            {"expert", coord.expert},
            {"sequence", coord.sequence},
            {"zero", c.parallel.zero}};
}

void add_speed(Out& out, const StepTime& s, int64_t ranks) {
    out["step_seconds"] = s.seconds();
    out["tokens_per_second"] = s.tokens_per_second;
    out["tokens_per_second_per_gpu"] = s.tokens_per_second / double(ranks);
    out["mfu"] = s.mfu;
    out["mfu_full_square"] = s.mfu_full_square;
}

Out setting_json(const PlanReport& r, const Estimate& e) {
    Out out{{"ranks", e.ranks},
            {"mesh", mesh_json(e.coord, e.config)},
            {"recompute", enum_name(e.config.train.recompute)},
            {"micro_batch", e.config.train.micro_batch},
            {"bytes", int64_t(e.bytes())}};
    add_speed(out, e.time, e.ranks);
    out["changes"] = r.changes(e);
    return out;
}

Out bytes_json(const PlanReport& r, const MemoryPlan& plan) {
    Out out;
    for (const auto& [name, bytes] : r.categories(plan)) out[name] = int64_t(bytes);
    return out;
}

Out run_json(const PlanReport& r) {
    const int64_t bytes = checkpoint_bytes(r.config.model, r.config.optimizer);
    Out out{{"tokens_per_step", int64_t(r.tokens_per_step())}, {"checkpoint_bytes", bytes}};
    if (const auto run = r.run()) {
        out["steps"] = r.config.train.steps;
        out["tokens"] = int64_t(run->tokens);
        if (r.gpu) {
            out["seconds"] = run->seconds;
            out["days"] = run->days();
            out["gpu_hours"] = run->gpu_hours;
        }
    }
    return out;
}

Out gpu_json(const PlanReport& r) {
    const GpuFigures& g = *r.gpu;
    Out out{{"name", g.name}, {"fits", r.fits()}};
    add_speed(out, r.estimate->time, r.ranks);
    for (const auto& [name, seconds] : parts(r.estimate->time)) out["seconds"][name] = seconds;
    const DeviceReserve& reserve = r.estimate->reserve;
    out["memory_bytes"] = int64_t(g.memory);
    out["reserved"] = {{"context", int64_t(reserve.context)},
                       {"nccl", int64_t(reserve.nccl)},
                       {"workspaces", int64_t(reserve.workspaces)}};
    out["figures"] = {{"peak_flops", g.peak(r.config.train.precision)},
                      {"gemm_share", kGemmShare},
                      {"grouped_share", kGroupedShare},
                      {"attention_share", kAttentionShare},
                      {"bandwidth", g.bandwidth},
                      {"link", g.link},
                      {"network", g.network},
                      {"gpus_per_node", kGpusPerNode}};
    out["assumptions"] = assumptions(g, r.config.train.precision, r.estimate->reserve);
    out["note"] = kEstimateNote;
    return out;
}

}  // namespace

Out plan_json(const PlanReport& r, bool searched) {
    const ParameterCounts n = count_parameters(r.config.model);
    Out out;
    out["parameters"] = {{"total", n.total}, {"active", n.active}, {"gates", n.gates}};
    const int64_t length = r.config.data.sequence_length;
    out["flops_per_token"] = flops_per_token(r.config.model, length);
    out["flops_per_token_full_square"] = flops_per_token_full_square(r.config.model, length);
    out["ranks"] = r.ranks;
    out["mesh"] = mesh_json(r.coord, r.config);
    out["precision"] = enum_name(r.config.train.precision);
    out["micro_batch"] = r.config.train.micro_batch;
    out["micro_batch_chosen"] = r.micro_batch_chosen;
    out["recompute"] = enum_name(r.config.train.recompute);
    out["bytes_per_rank"] = bytes_json(r, r.memory);
    if (r.config.model.moe.experts > 0) out["bytes_per_rank_balanced"] = bytes_json(r, r.balanced);
    for (const auto& [word, policy] : EnumNames<Recompute>::all) {
        const MemoryPlan m = r.memory_with(policy, false);
        out["activations"][word] = {{"attention", m.attention}, {"ffn", m.ffn}, {"residual", m.residual}};
        if (r.config.model.moe.experts > 0)
            out["activations"][word]["balanced"] = r.memory_with(policy, true).activations();
    }
    for (const auto& g : r.groups()) {
        out["bytes_sent_per_step"][g.group] = int64_t(g.handed);
        out["bytes_on_wire_per_step"][g.group] = int64_t(g.wire);
    }
    out["run"] = run_json(r);
    if (!r.gpu) return out;
    out["gpu"] = gpu_json(r);
    if (!r.found) return out;
    const std::vector<Estimate>& settings = r.found->settings;
    if (!r.fits() && !settings.empty()) out["gpu"]["nearest"] = setting_json(r, settings[0]);
    if (!searched) return out;
    out["search"] = Out::array();
    for (size_t i = 0; i < std::min(kBestSettings, settings.size()); i++)
        out["search"].push_back(setting_json(r, settings[i]));
    out["search_kept_mesh_keys"] = r.kept.any() && r.found->kept;
    if (r.found->faster) out["search_faster"] = setting_json(r, *r.found->faster);
    return out;
}

}  // namespace sluice
