// The state of a sweep's points, as their folders show it.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/enum_names.h"
#include "sweep/points.h"

namespace sluice {

// waiting: has no step. partial: has some. done: has a checkpoint of the last step. diverged: ended because its steps
// were not finite, or done with a loss above its first one. failed: its last try ended in an error.
enum class PointState { waiting, partial, done, diverged, failed };
template <>
struct EnumNames<PointState> {
    static constexpr std::pair<const char*, PointState> all[] = {{"waiting", PointState::waiting},
                                                                 {"partial", PointState::partial},
                                                                 {"done", PointState::done},
                                                                 {"diverged", PointState::diverged},
                                                                 {"failed", PointState::failed}};
};

// Whether a point has its result, and nothing is left to train.
constexpr bool is_over(PointState state) { return state == PointState::done || state == PointState::diverged; }

// The files of a point beside those of its run.
constexpr char kPointConfig[] = "point.yaml",  // the config that it was last started with
    kPointEnd[] = "point.json",                // {state, code, why} of a try that failed or diverged
    kPointConsole[] = "console.txt";           // what its tries printed

struct PointStatus {
    PointState state = PointState::waiting;
    std::optional<int64_t> step;
    std::optional<double> loss;    // the last one logged
    double tokens_per_second = 0;  // of the last logged step; 0: not known
    std::string why;               // of what failed or diverged
};
PointStatus status_of(const Point& point);

// Records that a try failed or diverged, with its exit code; forget_end() before the next try. Errors:
// Failure(Exit::disk).
void record_end(const Point& point, PointState state, int code, const std::string& why);
void forget_end(const Point& point);

// Errors: Failure(Exit::checkpoint) where the folder is that of a run, or has points and none of these.
void refuse_another(const std::filesystem::path& folder, const std::vector<Point>& points);

// Errors: Failure(Exit::checkpoint) with a line for every point whose folder holds a run of another config, with what
// differs. How a run is computed, saved and logged may differ; what it learns from and what its results are may not.
void refuse_changed(const std::vector<Point>& points);

}  // namespace sluice
