// What `sluice plan` tells of a config, as figures: printed as text (plan_text.cpp) or as JSON (plan_json.cpp).
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "config/load.h"
#include "plan/search.h"

namespace sluice {

// A run of a config at the estimated speed, evaluations and checkpoints aside.
struct RunLength {
    double tokens, seconds, gpu_hours;
    double days() const { return seconds / 86400; }
};

struct PlanReport {
    // gpu null: the CPU backend. loaded: for so many ranks.
    PlanReport(const Loaded& loaded, int64_t ranks, const GpuFigures* gpu);

    Config config;  // with the micro-batch that is planned for
    int64_t ranks;
    const GpuFigures* gpu;
    // Where the config gives no micro-batch, a plan for a GPU takes the largest that fits (1 where none does); without
    // a plan, training takes all of a rank's share.
    bool micro_batch_chosen = false;
    int64_t share = 0;
    KeptKeys kept;
    MeshCoord coord;
    MemoryPlan memory, balanced;  // with experts' rows as reserved for the worst case, and with even load
    TrafficPlan traffic;
    std::optional<Estimate> estimate;  // with a GPU
    std::optional<Found> found;        // where a search was asked for, or the config does not fit

    void search() { found = search_settings(config, ranks, *gpu, kept); }
    bool fits() const { return !gpu || estimate->fits(*gpu); }
    // How numbers are stored: on a CPU all in fp32, whatever products multiply.
    Precision stored() const { return gpu ? config.train.precision : Precision::fp32; }
    MemoryPlan memory_with(Recompute policy, bool even_load) const;
    double reserve() const { return estimate ? estimate->reserve.total() : 0; }
    std::vector<std::pair<const char*, double>> categories(const MemoryPlan& plan) const;
    // Bytes by group: handed to collectives, and sent (as many are received).
    struct GroupBytes {
        const char* group;
        double handed, wire;
    };
    std::vector<GroupBytes> groups() const;
    double tokens_per_step() const { return double(config.train.batch * config.data.sequence_length); }
    std::optional<RunLength> run() const;  // where the config says how many steps; seconds 0 without a GPU
    // What turns the config as given into a setting, as key=value; a micro-batch that the config does not give
    // included.
    std::vector<std::string> changes(const Estimate& setting) const;

 private:
    bool micro_batch_given_;
};

// Parts of a step's time, by name.
std::vector<std::pair<const char*, double>> parts(const StepTime& time);

constexpr size_t kBestSettings = 10;
extern const char* const kEstimateNote;

nlohmann::ordered_json plan_json(const PlanReport& report, bool searched);
void print_plan(const PlanReport& report, bool searched);

}  // namespace sluice
