// The figures that `sluice plan` reports about a config: printed as text (plan_text.cpp) or as JSON (plan_json.cpp).
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "config/load.h"
#include "plan/search.h"

namespace sluice {

// What --gpu names. Errors: Failure(Exit::config) with the known names.
const GpuFigures& gpu_named(const std::string& name);
std::string gpu_names();  // "a100, h100, ..."

// A whole run at the estimated speed, without evaluations and checkpoints.
struct RunLength {
    double tokens, seconds, gpu_hours;
    double days() const { return seconds / 86400; }
};

struct PlanReport {
    // loaded: the config, loaded for so many ranks. gpu null: the CPU backend.
    PlanReport(const Loaded& loaded, int64_t ranks, const GpuFigures* gpu);

    Config config;  // with the micro-batch that is planned for
    int64_t ranks;
    const GpuFigures* gpu;
    // Without train.micro_batch in the config, a plan for a GPU chooses the largest that fits, or 1 where none does.
    // Training would use `share`: all sequences of the batch that a rank has.
    bool micro_batch_chosen = false;
    int64_t share = 0;
    KeptKeys kept;
    MeshCoord coord;
    MemoryPlan memory, balanced;  // experts' rows for the worst case, as allocated; for evenly loaded experts
    TrafficPlan traffic;
    std::optional<Estimate> estimate;  // for a GPU
    std::optional<Found> found;        // if a search was asked for, or the config does not fit

    void search() { found = search_settings(config, ranks, *gpu, kept); }
    bool fits() const { return !gpu || estimate->fits(*gpu); }
    // How numbers are stored: on a CPU all in fp32, whatever the precision of GEMMs.
    bool on_gpu() const { return gpu || config.device == Device::cuda; }
    Storage stored() const { return on_gpu() ? storage_on_gpu(config.train.precision) : Storage::cpu; }
    MemoryPlan memory_with(Recompute policy, bool even_load) const;
    // What a device needs beside the tensors: where the GPU is known all that is expected, else what the engine
    // allocates.
    double reserve() const;
    std::vector<std::pair<const char*, double>> categories(const MemoryPlan& plan) const;
    // Bytes per step, by group of the mesh: handed to collectives, and sent; as many are received as sent.
    struct GroupBytes {
        const char* group;
        double handed, wire;
    };
    std::vector<GroupBytes> groups() const;
    double tokens_per_step() const { return double(config.train.batch * config.data.sequence_length); }
    std::optional<RunLength> run() const;  // none without train.steps; seconds 0 without a GPU
    // The overrides, key=value, that turn the config as given into a setting; train.micro_batch is one of them where
    // the config does not give it.
    std::vector<std::string> changes(const Estimate& setting) const;

 private:
    bool micro_batch_given_;
};

// The parts of a step's time in seconds, by name.
std::vector<std::pair<const char*, double>> parts(const StepTime& time);

constexpr size_t kBestSettings = 10;
extern const char* const kEstimateNote;

Json plan_json(const PlanReport& report, bool searched);
void print_plan(const PlanReport& report, bool searched);

}  // namespace sluice
