// What a person sees of a sweep: a line for each change, and on a terminal, below these, the points that train now and
// how many there are of each state.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "sweep/losses.h"
#include "sweep/state.h"

namespace sluice {

struct TrainingPoint {
    std::string name;
    int64_t steps = 0;
    std::optional<Losses::Row> last;
};

class Board {
 public:
    // Prints a line, which stays.
    void change(const std::string& line);
    // Shows these below the lines, in place of what was shown before; nothing where stdout is no terminal.
    void show(const std::vector<TrainingPoint>& training, const std::string& summary);
    void clear();

 private:
    int shown_ = 0;  // lines
};

// "abl: 2 training, 3 waiting, 1 done | 12m left"; seconds_left: where it is known.
std::string summary_of(const std::string& sweep, const std::vector<PointStatus>& statuses, size_t training,
                       std::optional<double> seconds_left);
// FLOP/s of a point that trains: the median of those that have logged a rate; else nothing.
std::optional<double> measured_rate(const std::vector<Point>& points, const std::vector<PointStatus>& statuses);
// The share of a point's steps that is still to be trained: 0 where it is done or diverged.
double share_left(const Point& point, const PointStatus& status);
// Of all points together, `parallel` at once: at the rate that was measured; else unknown.
std::optional<double> seconds_left(const std::vector<Point>& points, const std::vector<PointStatus>& statuses,
                                   int64_t parallel);

}  // namespace sluice
