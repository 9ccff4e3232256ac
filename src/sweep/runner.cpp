#include "sweep/runner.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <deque>
#include <fstream>
#include <memory>
#include <thread>

#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/machine.h"
#include "base/signals.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/run_lock.h"
#include "cli/terminal.h"
#include "sweep/board.h"
#include "sweep/losses.h"
#include "sweep/state.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr auto kPause = std::chrono::milliseconds(20);
constexpr double kRefresh = 0.5;    // seconds between two looks at what trains
constexpr int64_t kMostAbove = 10;  // logged losses in a row above the first one, with stop_on_divergence
constexpr char kStop[] = "stop";    // in a point's folder: asks its run to stop

// The last error that a try printed into its console file, from the byte where it began; empty: none.
std::string last_error(const fs::path& console, int64_t from) {
    std::ifstream in(console, std::ios::binary);
    in.seekg(from);
    std::string found;
    for (std::string line; std::getline(in, line);)
        if (line.starts_with("error: ")) found = line.substr(7);
    return printable(found, 400);
}

int64_t size_of(const fs::path& file) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    return error ? 0 : int64_t(size);
}

class Runner {
 public:
    Runner(const SweepSpec& spec, const std::vector<Point>& points, const fs::path& program,
           const std::vector<std::string>& gpus)
        : spec_(spec), points_(points), program_(program), gpus_(gpus), tries_(points.size()) {
        at_once_ = spec.parallel;
        // With fewer GPUs than ranks a point by itself uses the CPU, lets ranks share one, or is refused.
        if (const auto room = int64_t(gpus.size()) / spec.ranks; room > 0) at_once_ = std::min(at_once_, room);
    }

    Exit run() {
        for (size_t i = 0; i < points_.size(); i++) {
            statuses_.push_back(status_of(points_[i]));
            if (!is_over(statuses_[i].state)) waiting_.push_back(i);
        }
        if (!waiting_.empty()) board_.change(summary_of(spec_.name, statuses_, 0, {}));
        if (!waiting_.empty() && at_once_ < spec_.parallel)
            board_.change(fmt::format("{} at once: {} for {} a point", counted(at_once_, "point"),
                                      counted(int64_t(gpus_.size()), "GPU"), counted(spec_.ranks, "rank")));
        while (!training_.empty() || (!waiting_.empty() && !stopping_)) {
            if (stop_requested() && !stopping_) stop();
            while (!stopping_ && !waiting_.empty() && int64_t(training_.size()) < at_once_) start();
            look();
            std::this_thread::sleep_for(kPause);
        }
        board_.clear();
        const std::string where = sweep_folder(spec_).string();
        board_.change(summary_of(spec_.name, statuses_, 0, {}) + " | " + where +
                      (stopping_ ? ": start again to go on" : ""));
        const auto left = [&](PointState state) {
            return std::any_of(statuses_.begin(), statuses_.end(),
                               [&](const PointStatus& status) { return status.state == state; });
        };
        if (stopping_ && (left(PointState::waiting) || left(PointState::partial))) return Exit::stopped;
        return left(PointState::failed) || left(PointState::partial) ? Exit::other : Exit::done;
    }

 private:
    struct Training {
        size_t point;
        int64_t place;  // from 0, of those that train at once
        std::unique_ptr<Child> child;
        Losses losses;
        int64_t console_start;  // of this try, in bytes
        double started;
        bool cut = false;  // was asked to stop, since its losses stay above its first one
    };

    std::vector<std::string> command(const Point& point) const {
        std::vector<std::string> words;
        if (spec_.ranks > 1) {
            words = {"mpirun", "-q", "-n", std::to_string(spec_.ranks)};
            // Else every mpirun binds its ranks to the same first cores.
            if (at_once_ > 1) words.insert(words.end(), {"--bind-to", "none"});
        }
        words.insert(words.end(), {program_.string(), "train", (point.folder / kPointConfig).string()});
        return words;
    }

    // Points that train at once share the cores and the GPUs.
    std::vector<std::pair<std::string, std::string>> variables(const Point& point, int64_t place) const {
        auto variables = supervised_by_this_process(point.folder / kStop);
        const int64_t share = std::max<int64_t>(1, usable_cores() / (at_once_ * spec_.ranks));
        if (int64_t(gpus_.size()) >= spec_.ranks) {
            const auto first = gpus_.begin() + place * spec_.ranks;
            variables.emplace_back("CUDA_VISIBLE_DEVICES",
                                   fmt::format("{}", fmt::join(first, first + spec_.ranks, ",")));
        }
        if (at_once_ > 1)
            variables.emplace_back("OMP_NUM_THREADS", std::to_string(std::min<int64_t>(omp_get_max_threads(), share)));
        return variables;
    }

    int64_t free_place() const {
        int64_t place = 0;
        const auto taken = [&](const Training& training) { return training.place == place; };
        while (std::any_of(training_.begin(), training_.end(), taken)) place++;
        return place;
    }

    void start() {
        const size_t i = waiting_.front();
        const int64_t place = free_place();
        waiting_.pop_front();
        const Point& point = points_[i];
        tries_[i]++;
        const fs::path console = point.folder / kPointConsole;
        try {
            make_folders(point.folder);
            remove_tree(point.folder / kStop);
            forget_end(point);
            write_file(point.folder / kPointConfig, dump_yaml(point.config));
            const int64_t from = size_of(console);
            const int at_our_end = spec_.ranks > 1 ? SIGTERM : SIGKILL;  // mpirun ends its ranks and cleans up
            training_.push_back({i, place,
                                 std::make_unique<Child>(command(point), variables(point, place), console, at_our_end),
                                 Losses(point.folder / "metrics.jsonl"), from, steady_seconds()});
        } catch (const Failure& f) { return failed(i, int(f.code()), f.what()); }
        statuses_[i].state = PointState::partial;
        const std::vector<fs::path> saved = list_checkpoints(point.folder / "checkpoints");  // the newest first
        board_.change(point.name() +
                      (saved.empty() ? ": starts" : fmt::format(": goes on from step {}", step_of(saved[0]))));
    }

    void look() {
        const bool refresh = steady_seconds() >= next_refresh_;
        for (size_t t = 0; t < training_.size();) {
            Training& training = training_[t];
            if (!training.child->ended()) {
                if (refresh) follow(training);
                t++;
                continue;
            }
            const Training over = std::move(training);
            training_.erase(training_.begin() + std::ptrdiff_t(t));
            end(over);
        }
        if (!refresh) return;
        next_refresh_ = steady_seconds() + kRefresh;
        std::vector<TrainingPoint> shown;
        for (const Training& training : training_)
            shown.push_back(
                {points_[training.point].name(), points_[training.point].config.train.steps, training.losses.last()});
        board_.show(shown,
                    summary_of(spec_.name, statuses_, training_.size(), seconds_left(points_, statuses_, at_once_)));
    }

    void follow(Training& training) {
        training.losses.read();
        if (!training.losses.last()) return;
        PointStatus& status = statuses_[training.point];
        status.step = training.losses.last()->step;
        // A tenth of the newest rate: single steps jump where the machine is busy.
        const double rate = training.losses.last()->tokens_per_second;
        status.tokens_per_second += (status.tokens_per_second > 0 ? 0.1 : 1) * (rate - status.tokens_per_second);
        if (!spec_.stop_on_divergence || training.cut || training.losses.most_above_in_a_row() < kMostAbove) return;
        training.cut = true;
        ask_to_stop(training);
    }

    void end(const Training& over) {
        const size_t i = over.point;
        const Point& point = points_[i];
        const int code = over.child->code();
        const std::string error = last_error(point.folder / kPointConsole, over.console_start);
        remove_quietly(point.folder / kStop);
        statuses_[i] = status_of(point);
        PointStatus& status = statuses_[i];
        if (code == int(Exit::done) && is_over(status.state)) {
            const std::string why = status.why.empty() ? "" : ": " + status.why;
            board_.change(fmt::format("{}: {}{} | loss {} | {}", point.name(), enum_name(status.state), why,
                                      status.loss ? format_fixed(*status.loss, 4) : "nan",
                                      format_seconds(steady_seconds() - over.started)));
        } else if (code == int(Exit::non_finite)) {
            keep_end(i, PointState::diverged, code, error.empty() ? "its steps were not finite" : error);
            board_.change(point.name() + ": diverged: " + status.why);
        } else if (over.cut && code == int(Exit::stopped)) {
            keep_end(i, PointState::diverged, code,
                     fmt::format("stopped at step {}: its last {} losses are above its first", status.step.value_or(0),
                                 kMostAbove));
            board_.change(point.name() + ": diverged: " + status.why);
        } else if (stopping_) {
            const bool saved = code == int(Exit::stopped);
            board_.change(fmt::format("{}: {}", point.name(),
                                      saved ? fmt::format("stopped at step {}", status.step.value_or(0))
                                            : "ended without a checkpoint: " + reason(code, error)));
        } else {
            failed(i, code, reason(code, error));
        }
    }
    static std::string reason(int code, const std::string& error) {
        if (!error.empty()) return error;
        if (code == int(Exit::stopped)) return "something else stopped it";
        return code > 128 ? fmt::format("ended by signal {}", code - 128) : fmt::format("ended with code {}", code);
    }

    void failed(size_t i, int code, const std::string& why) {
        const bool again = tries_[i] <= spec_.retries && !stopping_;
        board_.change(fmt::format("{}: failed (code {}, try {} of {}{}): {} | {}", points_[i].name(), code, tries_[i],
                                  spec_.retries + 1, again ? ", to be tried again" : "", why,
                                  (points_[i].folder / kPointConsole).string()));
        keep_end(i, PointState::failed, code, why);
        if (again) waiting_.push_back(i);
    }
    // On a full disk only the record is lost.
    void keep_end(size_t i, PointState state, int code, const std::string& why) {
        statuses_[i].state = state;
        statuses_[i].why = why;
        try {
            record_end(points_[i], state, code, why);
        } catch (const Failure& f) { board_.change(std::string("warning: ") + f.what()); }
    }
    static void remove_quietly(const fs::path& file) {
        std::error_code error;
        fs::remove(file, error);
    }

    void stop() {
        stopping_ = true;
        board_.change(
            fmt::format("stopping: {} training, each with a checkpoint", counted(int64_t(training_.size()), "point")));
        for (const Training& training : training_) ask_to_stop(training);
    }
    // Where it cannot be asked by a file, the run by itself, or mpirun, ends by a signal.
    void ask_to_stop(const Training& training) const {
        if (!std::ofstream(points_[training.point].folder / kStop).is_open()) kill(training.child->pid(), SIGTERM);
    }

    const SweepSpec& spec_;
    const std::vector<Point>& points_;
    fs::path program_;
    std::vector<std::string> gpus_;
    int64_t at_once_;  // points
    std::vector<int64_t> tries_;
    std::vector<PointStatus> statuses_;
    std::deque<size_t> waiting_;
    std::vector<Training> training_;
    Board board_;
    double next_refresh_ = 0;
    bool stopping_ = false;
};

}  // namespace

Exit run_sweep(const SweepSpec& spec, const std::vector<Point>& points, const fs::path& program,
               const std::vector<std::string>& gpus) {
    const fs::path folder = sweep_folder(spec);
    refuse_another(folder, points);
    const RunLock lock(folder, 0, "sweep");
    refuse_changed(points);
    write_file(folder / "sweep.yaml", dump_sweep(spec, folder.string()));
    return Runner(spec, points, program, gpus).run();
}

}  // namespace sluice
