#include "sweep/board.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/format.h"
#include "base/median.h"
#include "cli/columns.h"
#include "cli/terminal.h"

namespace sluice {

constexpr int kMostShown = 16;  // points: what is written over must fit a screen

// A terminal that has gone is no error: the sweep goes on without it.
void Board::clear() {
    if (shown_ == 0) return;
    std::fputs(fmt::format("\r\x1b[{}A\x1b[J", shown_).c_str(), stdout);
    std::fflush(stdout);
    shown_ = 0;
}

void Board::change(const std::string& line) {
    clear();
    print_line(line);
}

void Board::show(const std::vector<TrainingPoint>& training, const std::string& summary) {
    const Screen screen = screen_of(stdout);
    if (!screen.escapes) return;
    clear();
    const auto put = [&](const Columns& columns) {
        std::fputs((join(columns, std::max(1, screen.columns - 1)) + "\n").c_str(), stdout);
        shown_++;
    };
    for (const TrainingPoint& point : training) {
        if (shown_ == kMostShown) {
            put({{fmt::format("  and {} more", training.size() - kMostShown), 0}});
            break;
        }
        Columns columns{{"  " + point.name, 3}};
        if (point.last) {
            columns.push_back({fmt::format("step {}/{}", point.last->step, point.steps), 1});
            columns.push_back({"loss " + format_fixed(point.last->loss, 4), 2});
        }
        put(columns);
    }
    put({{summary, 0}});
    std::fflush(stdout);
}

std::string summary_of(const std::string& sweep, const std::vector<PointStatus>& statuses, size_t training,
                       std::optional<double> seconds_left) {
    std::string text = training > 0 ? fmt::format("{} training", training) : "";
    for (const auto& [word, state] : EnumNames<PointState>::all) {
        auto n = size_t(std::count_if(statuses.begin(), statuses.end(),
                                      [state = state](const PointStatus& status) { return status.state == state; }));
        if (state == PointState::partial) n -= std::min(n, training);
        if (n > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", n, word);
    }
    return sweep + ": " + text + (seconds_left ? " | " + format_seconds(*seconds_left) + " left" : "");
}

std::optional<double> measured_rate(const std::vector<Point>& points, const std::vector<PointStatus>& statuses) {
    std::vector<double> rates;
    for (size_t i = 0; i < points.size(); i++)
        if (statuses[i].tokens_per_second > 0)
            rates.push_back(statuses[i].tokens_per_second * points[i].flops_per_token);
    if (rates.empty()) return {};
    return median_of(std::move(rates));
}

double share_left(const Point& point, const PointStatus& status) {
    if (is_over(status.state)) return 0;
    const auto steps = double(std::max<int64_t>(1, point.config.train.steps));
    return 1 - std::min(1.0, double(status.step.value_or(0)) / steps);
}

std::optional<double> seconds_left(const std::vector<Point>& points, const std::vector<PointStatus>& statuses,
                                   int64_t parallel) {
    double flops = 0;
    int64_t open = 0;
    for (size_t i = 0; i < points.size(); i++) {
        flops += points[i].flops() * share_left(points[i], statuses[i]);
        open += !is_over(statuses[i].state);
    }
    if (open == 0) return 0;
    const std::optional<double> rate = measured_rate(points, statuses);
    return rate ? std::optional(flops / *rate / double(std::min(parallel, open))) : std::nullopt;
}

}  // namespace sluice
