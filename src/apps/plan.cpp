// sluice plan: what a run will need, from its config alone.
#include <fmt/format.h>

#include "apps/commands.h"
#include "apps/load_args.h"
#include "apps/plan_report.h"
#include "base/check.h"
#include "kernels/stream_bytes.h"

namespace sluice {

const char* const kEstimateNote = "times are estimates for kernels that no GPU has run yet, not measurements";

PlanReport::PlanReport(const Loaded& loaded, int64_t n, const GpuFigures* device)
    : config(loaded.config),
      ranks(n),
      gpu(device),
      share(config.train.batch / data_ranks_of(config, int(n))),
      coord(mesh_coord(mesh_shape(config.model, config.parallel), n, 0)),
      micro_batch_given_(loaded.micro_batch_given) {
    const auto given = [&](const char* key) { return loaded.origins.at(key) != "default"; };
    kept = {given("parallel.tensor"), given("parallel.expert"), given("parallel.sequence")};
    if (gpu && !micro_batch_given_) {
        micro_batch_chosen = true;
        config.train.micro_batch = largest_micro_batch(config, ranks, *gpu).value_or(1);
    }
    memory = memory_with(config.train.recompute, false);
    balanced = memory_with(config.train.recompute, true);
    traffic = plan_traffic(config, coord, stored() == Storage::gpu_bf16 ? 2 : 4, 4);
    if (gpu) estimate = sluice::estimate(config, ranks, *gpu);
}

MemoryPlan PlanReport::memory_with(Recompute policy, bool even_load) const {
    Config c = config;
    c.train.recompute = policy;
    MeshCoord planned = coord;
    planned.even_load = even_load;
    return plan_memory(c, planned, stored());
}

double PlanReport::reserve() const {
    return estimate ? estimate->reserve.total() : on_gpu() ? double(kDeviceStreams) : 0;
}

std::vector<std::pair<const char*, double>> PlanReport::categories(const MemoryPlan& m) const {
    std::vector<std::pair<const char*, double>> all{{"weights", m.weights},           {"masters", m.masters},
                                                    {"moments", m.moments},           {"gradients", m.gradients},
                                                    {"activations", m.activations()}, {"buffers", m.buffers}};
    if (on_gpu()) all.emplace_back("device", reserve());
    all.emplace_back("total", double(m.total()) + reserve());
    return all;
}

std::vector<PlanReport::GroupBytes> PlanReport::groups() const {
    const TrafficPlan& t = traffic;
    return {{"data", t.data, t.wire.data()},
            {"expert_data", t.expert_data, t.wire.expert_data()},
            {"tensor", t.tensor, t.wire.tensor + t.wire.replicas},
            {"expert", t.expert, t.wire.expert},
            {"world", t.world, t.wire.world}};
}

std::optional<RunLength> PlanReport::run() const {
    if (config.train.steps == 0) return {};
    const double steps = double(config.train.steps), seconds = estimate ? steps * estimate->time.seconds() : 0;
    return RunLength{steps * tokens_per_step(), seconds, seconds * double(ranks) / 3600};
}

std::vector<std::string> PlanReport::changes(const Estimate& setting) const {
    Config given = config;
    if (!micro_batch_given_) given.train.micro_batch = 0;
    return changes_between(given, setting.config);
}

std::vector<std::pair<const char*, double>> parts(const StepTime& s) {
    return {{"gemm", s.gemm},        {"experts", s.experts},     {"attention", s.attention},
            {"pointwise", s.memory}, {"optimizer", s.optimizer}, {"tensor", s.tensor},
            {"expert", s.expert},    {"gradients", s.gradients}, {"weights", s.weights}};
}

std::string gpu_names() {
    std::string known;
    for (const GpuFigures& g : gpus()) known += (known.empty() ? "" : ", ") + std::string(g.name);
    return known;
}

const GpuFigures& gpu_named(const std::string& name) {
    const GpuFigures* gpu = find_gpu(name);
    if (!gpu) fail(Exit::config, "--gpu " + name + ": not known; choose one of " + gpu_names());
    return *gpu;
}

int plan_command(const ConfigArgs& args, int ranks, const std::string& gpu_name, bool search, bool json) {
    const GpuFigures* gpu = gpu_name.empty() ? nullptr : &gpu_named(gpu_name);
    if (search && !gpu) fail(Exit::config, "--search needs to know what must fit: give --gpu, one of " + gpu_names());
    const Loaded loaded = load_args(args, Purpose::plan, ranks);
    print_warnings(loaded);
    PlanReport report(loaded, ranks, gpu);
    if (search || !report.fits()) report.search();
    if (json)
        fmt::print("{}\n", plan_json(report, search).dump());
    else
        print_plan(report, search);
    return 0;
}

}  // namespace sluice
