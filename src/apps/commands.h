// The subcommands. Each returns the program's exit code. Errors: Failure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/specs.h"
#include "parallel/comm.h"

namespace sluice {

struct ConfigArgs {
    std::string config;
    std::vector<std::string> overrides;  // key=value
};
struct CheckpointArgs {
    std::string checkpoint;  // a step folder or a run folder
    std::vector<std::string> overrides;
};
struct SampleArgs {
    CheckpointArgs from;
    std::string prompt;
    int64_t tokens = 200, top_k = 40, seed = 1;
    double temperature = 0.7;
};
struct InspectArgs {
    CheckpointArgs from;
    std::optional<std::string> text, text_file;
    std::string layers;  // whose attention is mapped: "0,5-7"
    bool json = false, save = false;
};

int train_command(Comm& comm, const Config& config);
int eval_command(Comm& comm, const CheckpointArgs& args, bool json);
int sample_command(const SampleArgs& args);
int inspect_command(Comm& comm, const InspectArgs& args);
// gpu: a name that find_gpu() knows; empty: plans for the CPU. search: also lists the settings that fit it, by step
// time.
int plan_command(const ConfigArgs& args, int ranks, const std::string& gpu, bool search, bool json);
int bench_step_command(Comm& comm, const Config& config, bool json);
int bench_kernels_command(Comm& comm, const Config& config, bool json);

}  // namespace sluice
