#include "apps/runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/check.h"
#include "base/format.h"
#include "base/json.h"
#include "cli/terminal.h"
#include "log/run_list.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr size_t kColumns = 80, kShortestName = 12;

template <class T>
Json known(const std::optional<T>& value) {
    return value ? Json(*value) : Json();
}

Json json_of(const RunSummary& run) {
    Json sets = Json::object(), best;
    for (const BestLoss& b : run.best) sets[b.set] = {{"loss", b.loss}, {"step", b.step}};
    if (!run.best.empty()) best = {{"set", run.best[0].set}, {"loss", run.best[0].loss}, {"step", run.best[0].step}};
    return {{"folder", run.folder.string()},
            {"state", enum_name(run.state)},
            {"step", known(run.step)},
            {"steps", known(run.steps)},
            {"loss", known(run.loss)},
            {"best_validation", best},
            {"validation", sets},
            {"age_seconds", run.age},
            {"why", run.why.empty() ? Json() : Json(run.why)}};
}

// "45s", "12m", "3h", "5d"
std::string age_text(double seconds) {
    if (seconds < 60) return fmt::format("{:.0f}s", seconds);
    if (seconds < 3600) return fmt::format("{:.0f}m", seconds / 60);
    return seconds < 48 * 3600 ? fmt::format("{:.0f}h", seconds / 3600) : fmt::format("{:.0f}d", seconds / 86400);
}

std::string loss_text(const std::optional<double>& loss) { return loss ? fmt::format("{:.4f}", *loss) : "-"; }

std::vector<std::string> row_of(const RunSummary& run, const fs::path& below) {
    const auto text = [](const std::optional<int64_t>& n) { return n ? std::to_string(*n) : "-"; };
    const fs::path name = run.folder == below ? run.folder : run.folder.lexically_relative(below);
    std::optional<double> best;
    if (!run.best.empty()) best = run.best[0].loss;
    return {printable(name.string(), 4096),
            enum_name(run.state),
            text(run.step) + "/" + text(run.steps),
            loss_text(run.loss),
            loss_text(best),
            age_text(run.age)};
}

// Code points of UTF-8 text: every byte that does not continue one.
size_t columns(const std::string& text) {
    return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// Leaves out the beginning of a name that is too long: its end says more.
std::string shortened(const std::string& name, size_t width) {
    if (columns(name) <= width) return name;
    size_t at = 0, left = columns(name) - (width - 3);
    for (; at < name.size() && (left > 0 || (name[at] & 0xC0) == 0x80); at++) left -= (name[at] & 0xC0) != 0x80;
    return "..." + name.substr(at);
}

void print_table(std::vector<std::vector<std::string>> rows) {
    rows.insert(rows.begin(), {"run", "state", "step", "loss", "best val", "age"});
    std::vector<size_t> widths(rows[0].size());
    for (const auto& row : rows)
        for (size_t i = 0; i < row.size(); i++) widths[i] = std::max(widths[i], columns(row[i]));
    size_t others = 0;
    for (size_t i = 1; i < widths.size(); i++) others += widths[i] + 2;
    widths[0] = std::min(widths[0], std::max(kShortestName, kColumns - std::min(others, kColumns)));
    for (const auto& row : rows) {
        std::string line = shortened(row[0], widths[0]);
        line += std::string(widths[0] - columns(line), ' ');
        for (size_t i = 1; i < row.size(); i++) {
            const std::string space(widths[i] - columns(row[i]), ' ');
            line += "  " + (i == 1 ? row[i] + space : space + row[i]);
        }
        fmt::print("{}\n", line);
    }
}

}  // namespace

int runs_command(const std::string& folder, bool json) {
    const fs::path below = fs::path(folder).lexically_normal();
    std::vector<RunSummary> runs;
    if (folder != kDefaultRuns || fs::exists(folder))
        for (const fs::path& run : find_runs(below)) runs.push_back(summarize_run(run));
    if (json) {
        Json list = Json::array();
        for (const RunSummary& run : runs) list.push_back(json_of(run));
        fmt::print("{}\n", Json{{"runs", list}}.dump(-1, ' ', false, Json::error_handler_t::replace));
        return int(Exit::done);
    }
    std::vector<std::vector<std::string>> rows;
    for (const RunSummary& run : runs) rows.push_back(row_of(run, below));
    if (rows.empty())
        fmt::print("no runs below {}\n", printable(folder, 4096));
    else
        print_table(rows);
    for (const RunSummary& run : runs)
        if (!run.why.empty()) print_warning(run.why);
    return int(Exit::done);
}

}  // namespace sluice
