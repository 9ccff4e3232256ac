#include "apps/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "apps/plan_report.h"
#include "apps/report.h"
#include "base/check.h"
#include "base/format.h"
#include "base/json.h"
#include "base/machine.h"
#include "base/signals.h"
#include "checkpoint/stored_config.h"
#include "cli/terminal.h"
#include "data/data_facts.h"
#include "engine/choose.h"
#include "parallel/comm.h"
#include "sweep/board.h"
#include "sweep/points.h"
#include "sweep/runner.h"
#include "sweep/state.h"

namespace sluice {
namespace {

constexpr double kUsualShare = 0.6;  // of the GEMM rate that training reaches, where no point has been measured

Json json_of(const Node& node) {
    if (node.kind == Node::Kind::map) {
        Json map = Json::object();
        for (const Node& child : node.children) map[child.key] = json_of(child);
        return map;
    }
    if (node.kind == Node::Kind::list) {
        Json list = Json::array();
        for (const Node& child : node.children) list.push_back(json_of(child));
        return list;
    }
    if (node.kind == Node::Kind::null) return nullptr;
    const Json value = node.quoted ? Json() : json_or_null(node.text);
    return value.is_number() || value.is_boolean() ? value : Json(node.text);
}

// FLOP/s of one point while as many as may train at once: as points of this sweep did, else from the GEMM rate of this
// machine. Nothing where this machine has not what the config needs.
std::optional<double> rate_of(const SweepSpec& spec, const std::vector<Point>& points,
                              const std::vector<PointStatus>& statuses) {
    if (const std::optional<double> measured = measured_rate(points, statuses)) return measured;
    try {
        const Engine& engine = engine_of(points[0].config);
        engine.require(points[0].config);
        return kUsualShare * engine.gemm_rate(points[0].config) / double(spec.parallel);
    } catch (const Failure&) { return {}; }
}

// Seconds that the rest of each point takes; nothing where it is not known.
using Times = std::vector<std::optional<double>>;
Times times_left(const SweepSpec& spec, const std::vector<Point>& points, const std::vector<PointStatus>& statuses,
                 const GpuFigures* gpu) {
    const std::optional<double> rate = gpu ? std::nullopt : rate_of(spec, points, statuses);
    std::map<std::string, double> step_times;  // on the GPU, by group
    Times times;
    for (size_t i = 0; i < points.size(); i++) {
        const Point& point = points[i];
        const double left = share_left(point, statuses[i]);
        if (is_over(statuses[i].state))
            times.push_back(0);
        else if (point.tokens == 0 || (!gpu && !rate))
            times.push_back({});
        else if (!gpu)
            times.push_back(left * point.flops() / *rate);
        else {
            const auto [entry, added] = step_times.try_emplace(point.group);
            if (added) entry->second = estimate(point.config, spec.ranks, *gpu).time.seconds();
            times.push_back(left * double(std::max<int64_t>(1, point.config.train.steps)) * entry->second);
        }
    }
    return times;
}

void print_json(const std::vector<Point>& points, const std::vector<PointStatus>& statuses, const Times& times) {
    Json list = Json::array();
    for (size_t i = 0; i < points.size(); i++) {
        const Point& point = points[i];
        Json axes = Json::object();
        for (const auto& [key, value] : point.axes) axes[key] = json_of(value);
        list.push_back({{"variant", point.variant},
                        {"axes", axes},
                        {"seed", point.seed},
                        {"folder", point.folder.string()},
                        {"parameters", point.parameters},
                        {"flops_per_token", point.flops_per_token},
                        {"tokens", point.tokens > 0 ? Json(point.tokens) : Json()},
                        {"state", enum_name(statuses[i].state)},
                        {"training_flops", point.tokens > 0 ? Json(point.flops()) : Json()},
                        {"expected_seconds", times[i] ? Json(*times[i]) : Json()}});
    }
    fmt::print("{}\n", Json{{"points", list}}.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void print_rows(const std::vector<std::vector<std::string>>& rows) {
    std::vector<size_t> widths(rows[0].size());
    for (const auto& row : rows)
        for (size_t i = 0; i < row.size(); i++) widths[i] = std::max(widths[i], row[i].size());
    for (const auto& row : rows) {
        std::string line = row[0] + std::string(widths[0] - row[0].size(), ' ');
        for (size_t i = 1; i < row.size(); i++) {
            const std::string space(widths[i] - row[i].size(), ' ');
            line += "  " + (i == 1 ? row[i] + space : space + row[i]);
        }
        fmt::print("{}\n", line);
    }
}

void print_table(const SweepSpec& spec, const std::vector<Point>& points, const std::vector<PointStatus>& statuses,
                 const Times& times) {
    std::vector<std::vector<std::string>> rows{{"point", "state", "parameters", "tokens", "FLOPs", "time"}};
    double flops = 0, seconds = 0;
    bool known = true;
    for (size_t i = 0; i < points.size(); i++) {
        const Point& point = points[i];
        const auto if_known = [&](double n) { return point.tokens > 0 ? format_count(n) : std::string("?"); };
        rows.push_back({point.name(), enum_name(statuses[i].state), std::to_string(point.parameters),
                        if_known(double(point.tokens)), if_known(point.flops()),
                        times[i] ? format_seconds(*times[i]) : "?"});
        flops += point.flops();
        seconds += times[i].value_or(0);
        known &= times[i].has_value();
    }
    print_rows(rows);
    fmt::print("{} | {} FLOPs | {} left{}\n", counted(int64_t(points.size()), "point"), format_count(flops),
               known ? format_seconds(seconds / double(spec.parallel)) : "time unknown",
               spec.parallel > 1 ? fmt::format(", {} at once", spec.parallel) : "");
}

std::vector<std::string> gpus_of(const std::vector<Point>& points) {
    const auto on_gpu = std::find_if(points.begin(), points.end(),
                                     [](const Point& point) { return point.config.device != Device::cpu; });
    return on_gpu == points.end() ? std::vector<std::string>() : names_of_gpus(on_gpu->config);
}

// Its failure is not the sweep's: `sluice report` can be tried again.
void report_on(const SweepSpec& spec) {
    try {
        fmt::print("report: {}\n", write_report(sweep_folder(spec)).page.string());
    } catch (const Failure& f) { print_warning(std::string("no report: ") + f.what()); }
}

}  // namespace

int sweep_command(const SweepArgs& args) {
    if (launched_ranks() != 1)
        fail(Exit::config, "sweep: start it without mpirun: sweep.ranks gives each point its own");
    if ((args.json || !args.gpu.empty()) && !args.dry_run)
        fail(Exit::config, "--json and --gpu go with --dry-run: add it");
    const GpuFigures* gpu = args.gpu.empty() ? nullptr : &gpu_named(args.gpu);
    const SweepSpec spec = read_sweep(args.file, args.overrides);
    DataFacts facts = facts_of_shards();
    if (!args.dry_run) facts.before = config_to_go_on_from;
    const Judged judged = judge(spec, args.dry_run ? Purpose::plan : Purpose::train, facts);
    for (const std::string& warning : judged.warnings) print_warning(warning);
    if (!args.dry_run) {
        stop_with_checkpoint();
        const Exit exit = run_sweep(spec, judged.points, program_folder() / "sluice", gpus_of(judged.points));
        report_on(spec);
        return int(exit);
    }
    refuse_another(sweep_folder(spec), judged.points);
    refuse_changed(judged.points);
    std::vector<PointStatus> statuses;
    for (const Point& point : judged.points) statuses.push_back(status_of(point));
    const Times times = times_left(spec, judged.points, statuses, gpu);
    if (args.json)
        print_json(judged.points, statuses, times);
    else
        print_table(spec, judged.points, statuses, times);
    return int(Exit::done);
}

}  // namespace sluice
