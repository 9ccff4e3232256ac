// sluice: the command line. Parses it, runs one command, and turns a Failure into one line and an exit code.
#include <fmt/format.h>
#include <omp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <new>
#include <thread>

#include "apps/commands.h"
#include "apps/config.h"
#include "apps/load_args.h"
#include "apps/report.h"
#include "apps/runs.h"
#include "apps/sweep.h"
#include "apps/version.h"
#include "base/check.h"
#include "base/child.h"
#include "base/machine.h"
#include "base/signals.h"
#include "cli/command_line.h"
#include "cli/standard_streams.h"
#include "cli/terminal.h"
#include "config/load.h"
#include "config/read.h"
#include "engine/choose.h"

namespace sluice {
namespace {

// Divides the cores of this machine between its ranks; a smaller OMP_NUM_THREADS is kept.
void divide_cores() {
    const int cores = usable_cores(), ranks = local_ranks();
    if (ranks > 1) omp_set_num_threads(std::min(omp_get_max_threads(), std::max(1, cores / ranks)));
}

// Ranks often fail together (a bad command, a full disk). Rank 0 prints its error at once and ends the launch; the
// others wait before they print theirs, so that usually one line appears.
int report(const std::string& message, Exit code) {
    if (launched_rank() > 0) std::this_thread::sleep_for(std::chrono::seconds(3));
    print_error(message);
    return int(code);
}

// Runs a command. An error ends every rank.
int guarded(const std::function<int()>& command, Comm* comm) {
    std::string message;
    Exit code = Exit::other;
    try {
        return command();
    } catch (const Failure& f) {
        message = f.what();
        code = f.code();
    } catch (const std::bad_alloc&) {
        message = "out of memory on the host: " + free_memory() + "; lower train.micro_batch or start fewer ranks";
        code = Exit::out_of_memory;
    } catch (const std::exception& e) {  // among others fmt's, when stdout cannot be written
        message = e.what();
        if (!stdout_complete()) code = Exit::disk;
    }
    report(message, code);
    if (comm && comm->size() > 1) comm->abort(int(code));
    return int(code);
}

int with_world(const std::function<int(Comm&)>& command) {
    std::unique_ptr<Comm> comm;
    if (const int code = guarded([&] { return comm = world_comm(), 0; }, nullptr)) return code;
    divide_cores();
    return guarded([&] { return command(*comm); }, comm.get());
}

// The config is read before MPI starts.
int with_config(const ConfigArgs& args, Purpose purpose, const std::function<int(Comm&, const Config&)>& command) {
    Config config;
    const auto load = [&] {
        const Loaded loaded = load_args(args, purpose, launched_ranks());
        if (purpose == Purpose::train && launched_rank() == 0) print_warnings(loaded);
        config = loaded.config;
        return 0;
    };
    if (const int code = guarded(load, nullptr)) return code;
    return with_world([&](Comm& comm) {
        resolve_ranks(config, comm.size());  // some launchers do not say how many ranks there are before MPI starts
        return command(comm, config);
    });
}

// Returns the command's code, or an error's when its result cannot be written to stdout.
int with_result(int code) {
    return code == 0 ? guarded([] { return finish_stdout(), 0; }, nullptr) : code;
}

CLI::Option* add_config(CLI::App* app, ConfigArgs& args) {
    auto* file = app->add_option("config", args.config, "YAML file, or the folder of a run")->required();
    app->add_option("overrides", args.overrides,
                    "more files, each laid over those before, and key=value ..., as optimizer.lr=4e-3 or "
                    "'model.gates=[]'");
    return file;
}
// Without a config the first argument may be an override.
void use_bench_model(ConfigArgs& args) {
    if (!args.config.empty() && args.config.find('=') == std::string::npos) return;
    if (!args.config.empty()) args.overrides.insert(args.overrides.begin(), args.config);
    args.config = "configs/models/bench_17m.yaml";
}
void add_checkpoint(CLI::App* app, CheckpointArgs& args) {
    app->add_option("checkpoint", args.checkpoint, "a step folder, or a run folder for its newest")->required();
    app->add_option("overrides", args.overrides, "key=value ..., as eval.batches=0");
}
void add_json(CLI::App* app, bool& json) { app->add_flag("--json", json, "one JSON object on stdout"); }

void add_drawing(CLI::App* app, SampleArgs& sample) {
    app->add_option("--prompt", sample.prompt, "text to go on from");
    add_number<int64_t>(*app, "--tokens", sample.tokens, 1, 1 << 20, "tokens to add");
    add_number(*app, "--temperature", sample.temperature, 0.0, 100.0, "0: the likeliest token");
    add_number<int64_t>(*app, "--top-k", sample.top_k, 0, kMaxVocab, "draw from the k likeliest; 0: from all");
    add_number<int64_t>(*app, "--seed", sample.seed, 0, INT64_MAX, "seed of the draws");
}

void add_inspect(CLI::App& app, InspectArgs& args, std::function<int()>& command) {
    auto* inspect = app.add_subcommand("inspect", "gates, attention and experts of a checkpoint, layer by layer");
    add_checkpoint(inspect, args.from);
    inspect->add_option("--text", args.text, "text to look at, instead of the first validation data");
    inspect->add_option("--text-file", args.text_file, "a file of it");
    inspect->add_option("--layers", args.layers, "0,5-7: with maps of the attention of these layers");
    add_json(inspect, args.json);
    inspect->add_flag("--save", args.save, "write the JSON object into the run's folder, as inspect.json");
    inspect->footer("Example: sluice inspect runs/quickstart --text \"It is a truth\" --layers 0-2 --save");
    inspect->callback([&] { command = [&] { return with_world([&](Comm& c) { return inspect_command(c, args); }); }; });
}

void add_bench(CLI::App& app, ConfigArgs& config, bool& json, std::function<int()>& command) {
    auto* bench = app.add_subcommand("bench", "measure");
    bench->require_subcommand(1);
    bench->footer("Example: sluice bench step configs/quickstart.yaml");
    const auto add = [&](const char* name, const char* what, const char* example, auto measure) {
        auto* sub = bench->add_subcommand(name, what);
        add_config(sub, config)->required(false);
        add_json(sub, json);
        sub->footer(example);
        sub->callback([&, measure] {
            command = [&, measure] {
                use_bench_model(config);
                return with_config(config, Purpose::plan,
                                   [&](Comm& c, const Config& read) { return measure(c, read, json); });
            };
        });
    };
    add("step", "tokens per second of whole training steps, and time by op",
        "Example: mpirun -n 2 sluice bench step configs/quickstart.yaml train.batch=16", bench_step_command);
    add("kernels", "each op at the sizes of a model's step: time, and its rate against a GEMM's or a copy's",
        "Example: sluice bench kernels configs/quickstart.yaml data.sequence_length=512", bench_kernels_command);
}

void add_runs(CLI::App& app, std::string& folder, bool& json, std::function<int()>& command) {
    auto* runs = app.add_subcommand("runs", "the runs below a folder: state, step, loss, best validation loss, age");
    runs->add_option("folder", folder, "where to look")->capture_default_str();
    add_json(runs, json);
    runs->footer("Example: sluice runs runs/ablation");
    runs->callback([&] { command = [&] { return guarded([&] { return runs_command(folder, json); }, nullptr); }; });
}

void add_sweep(CLI::App& app, SweepArgs& args, std::function<int()>& command) {
    auto* sweep = app.add_subcommand("sweep", "train the points of a sweep file, or go on with it");
    sweep->add_option("sweep", args.file, "YAML file, or the folder of a sweep")->required();
    sweep->add_option("overrides", args.overrides, "key=value ..., as sweep.parallel=2, or of every point's config");
    sweep->add_flag("--dry-run", args.dry_run, "list the points: parameters, FLOPs, expected time, state");
    sweep->add_option("--gpu", args.gpu, "with --dry-run: expect the time on a100, h100, h200 or b200");
    sweep->add_flag("--json", args.json, "with --dry-run: one JSON object on stdout");
    sweep->footer("Example: sluice sweep configs/sweeps/table1_quick.yaml --dry-run seeds=[1,2,3]");
    sweep->callback([&] { command = [&] { return guarded([&] { return sweep_command(args); }, nullptr); }; });
}

void add_report(CLI::App& app, std::string& folder, std::function<int()>& command) {
    auto* report = app.add_subcommand("report", "a page of a sweep's or run's results, and CSV, in its folder");
    report->add_option("folder", folder, "the folder of a sweep or a run")->required();
    report->footer("Example: sluice report runs/table1_quick");
    report->callback([&] { command = [&] { return guarded([&] { return report_command(folder); }, nullptr); }; });
}

int run(int argc, char** argv) {
    CLI::App app("Sluice pretrains language models with gated attention.", "sluice");
    app.require_subcommand(1);
    app.set_version_flag("--version", version_text);
    app.footer("sluice help COMMAND tells a command's options, with an example; docs/ has the pages.");
    ConfigArgs config;
    CheckpointArgs checkpoint;
    SampleArgs sample;
    SweepArgs sweep;
    InspectArgs inspect;
    bool json = false, reference = false, search = false;
    int ranks = 1;
    std::string gpu, folder = kDefaultRuns, studied;
    std::function<int()> command;

    auto* train = app.add_subcommand("train", "train a model, or go on from its newest checkpoint");
    add_config(train, config);
    train->footer("Example: mpirun -n 2 sluice train configs/quickstart.yaml run.name=mine optimizer.lr=1e-3");
    train->callback([&] {
        command = [&] {
            stop_with_checkpoint();
            obey_supervisor();
            return with_config(config, Purpose::train, train_command);
        };
    });

    auto* eval = app.add_subcommand("eval", "loss, perplexity and bits per byte on the validation sets");
    add_checkpoint(eval, checkpoint);
    add_json(eval, json);
    eval->footer("Example: sluice eval runs/quickstart 'data.validation=[{name: mine, path: shards/mine.json}]'");
    eval->callback(
        [&] { command = [&] { return with_world([&](Comm& c) { return eval_command(c, checkpoint, json); }); }; });

    auto* sampler = app.add_subcommand("sample", "go on from a prompt");
    add_checkpoint(sampler, sample.from);
    add_drawing(sampler, sample);
    sampler->footer("Example: sluice sample runs/quickstart --prompt \"It is a truth\" --tokens 50");
    sampler->callback([&] { command = [&] { return guarded([&] { return sample_command(sample); }, nullptr); }; });

    add_inspect(app, inspect, command);

    auto* plan =
        app.add_subcommand("plan", "parameters, FLOPs, bytes per rank and between ranks, step time; needs no device");
    add_config(plan, config);
    add_number(*plan, "--ranks", ranks, 1, int(kMaxRanks), "ranks to plan for");
    plan->add_option("--gpu", gpu, "estimate the step on a100, h100, h200 or b200");
    plan->add_flag("--search", search,
                   "the ten fastest settings that fit the GPUs: mesh, zero, recompute, micro-batch");
    add_json(plan, json);
    plan->footer("Example: sluice plan configs/models/moe_15a2b.yaml --ranks 64 --gpu h200 --search");
    plan->callback([&] {
        command = [&] { return guarded([&] { return plan_command(config, ranks, gpu, search, json); }, nullptr); };
    });

    auto* show = app.add_subcommand("config", "the resolved config with each value's origin");
    add_config(show, config)->required(false);
    show->add_flag("--reference", reference, "every key with its type, default, range and meaning");
    add_json(show, json);
    show->footer("Example: sluice config configs/quickstart.yaml configs/gates/sdpa_headwise.yaml train.batch=64");
    show->callback(
        [&] { command = [&] { return guarded([&] { return config_command(config, json, reference); }, nullptr); }; });

    add_sweep(app, sweep, command);
    add_report(app, studied, command);
    add_runs(app, folder, json, command);
    add_bench(app, config, json, command);

    bool asked = false;
    if (const int code =
            guarded([&] { return asked = read_command_line(app, argc, argv, config_paths()), 0; }, nullptr))
        return code;
    if (!asked) return with_result(0);
    const int code = command();
    // The results of a run or a sweep are in its folder.
    return *train || (*app.get_subcommand("sweep") && !sweep.dry_run) ? code : with_result(code);
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
    sluice::secure_standard_streams();
    sluice::receive_signals_on_one_thread();
    sluice::set_cpu_engine(sluice::built_engine());
    return sluice::run(argc, argv);
}
