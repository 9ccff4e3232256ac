#include "log/run_list.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <map>

#include "base/check.h"
#include "base/format.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/manifest.h"
#include "checkpoint/run_lock.h"
#include "config/yaml.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr int kDeepest = 8;

bool is_run(const fs::path& folder) {
    std::error_code error;
    return fs::is_directory(folder / "checkpoints", error) || fs::exists(folder / "metrics.jsonl", error) ||
           (fs::exists(folder / "config.yaml", error) && fs::exists(folder / "log.txt", error));
}

// Neither takes nor releases the lock.
bool is_held(const fs::path& folder) {
    const int fd = open((folder / kLockName).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return false;
    struct flock whole = {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    const bool held = fcntl(fd, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    close(fd);
    return held;
}

void find_below(const fs::path& folder, int depth, std::vector<fs::path>& found) {
    if (is_run(folder)) return found.push_back(folder);
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        std::error_code unknown;
        if (it->path().filename().string()[0] == '.' || !it->is_directory(unknown)) continue;
        if (depth < kDeepest && (!it->is_symlink(unknown) || is_run(it->path())))
            find_below(it->path(), depth + 1, found);
    }
}

// Reads a run's files one after the other.
class Summary {
 public:
    explicit Summary(const fs::path& folder) : folder_(folder) { out_.folder = folder; }

    RunSummary read() {
        try_to([&] { read_checkpoints(); });
        try_to([&] { read_config(); });
        try_to([&] { read_metrics(); });
        try_to([&] { read_log(); });
        out_.age = age();
        out_.state = state();
        return out_;
    }

 private:
    // Only the first error is reported.
    template <class Read>
    void try_to(const Read& read) {
        try {
            read();
        } catch (const std::exception& e) {
            damaged_ = true;
            if (out_.why.empty()) out_.why = printable(e.what(), 400);
        }
    }
    bool there(const char* name) const {
        std::error_code error;
        const fs::path path = folder_ / name;
        if (!fs::exists(path, error)) return false;
        if (!fs::is_regular_file(path, error)) fail(Exit::data, path.string() + ": is not a file");
        return true;
    }

    // An older checkpoint is used where the newest cannot be read.
    void read_checkpoints() {
        std::string why;
        for (const fs::path& step : list_checkpoints(folder_ / "checkpoints")) {
            try {
                const Manifest manifest = read_manifest(step / "manifest.json");
                saved_ = manifest.info.step;
                out_.step = saved_;
                read_steps(manifest.info.config_yaml, (step / "manifest.json").string());
                break;
            } catch (const std::exception& e) { why = why.empty() ? e.what() : why; }
        }
        if (!why.empty() && !saved_) fail(Exit::checkpoint, why);
        out_.why = printable(why, 400);
    }
    void read_config() {
        if (!there("config.yaml")) return;
        Diagnostics diagnostics;
        read_steps(read_yaml(folder_ / "config.yaml", diagnostics));
        diagnostics.raise();
    }
    void read_steps(const std::string& yaml, const std::string& name) {
        Diagnostics diagnostics;
        read_steps(parse_yaml(yaml, name, diagnostics));
    }
    // Other keys are ignored: the file may be of another version.
    void read_steps(const Node& config) {
        const Node* train = config.find("train");
        const Node* steps = train ? train->find("steps") : nullptr;
        int64_t value = 0;
        if (!steps) return;
        const char* end = steps->text.data() + steps->text.size();
        if (const auto [stop, error] = std::from_chars(steps->text.data(), end, value);
            error == std::errc() && stop == end)
            out_.steps = value;
    }

    // If a step was logged twice, its last row counts. The last line of the file may be half written.
    void read_metrics() {
        if (!there("metrics.jsonl")) return;
        std::ifstream in(folder_ / "metrics.jsonl");
        std::map<std::string, std::map<int64_t, double>> losses;
        std::string line;
        for (int64_t n = 1; std::getline(in, line) && !in.eof(); n++) {
            try {
                read_row(parse_json(line), losses);
            } catch (const JsonError& e) {
                fail(Exit::data,
                     (folder_ / "metrics.jsonl").string() + ":" + std::to_string(n) + ": not a row: " + e.what());
            }
        }
        for (const auto& [set, by_step] : losses) {
            const auto best = std::min_element(by_step.begin(), by_step.end(),
                                               [](const auto& a, const auto& b) { return a.second < b.second; });
            out_.best.push_back({set, best->second, best->first});
        }
    }
    void read_row(const Json& row, std::map<std::string, std::map<int64_t, double>>& losses) {
        if (!row.is_object() || !row.contains("step")) return;  // of a start
        const int64_t step = to_integer(row["step"], "step");
        out_.step = step;
        diverged_ = row.contains("skipped") && !row.contains("loss");
        if (row.contains("loss"))
            out_.loss = row["loss"].is_number() ? row["loss"].get<double>() : std::optional<double>();
        for (const auto& [key, value] : row.items()) {
            if (!key.starts_with("eval/") || !key.ends_with("/loss") || key.size() < 11) continue;
            auto& by_step = losses[key.substr(5, key.size() - 10)];
            if (value.is_number())
                by_step[step] = value.get<double>();
            else
                by_step.erase(step);
        }
        std::erase_if(losses, [](const auto& set) { return set.second.empty(); });
    }
    // "DATE TIME LEVEL WHAT"
    void read_log() {
        if (!there("log.txt")) return;
        std::ifstream in(folder_ / "log.txt");
        std::string date, time, level, line;
        while (std::getline(in, line))
            if (std::istringstream words(line); words >> date >> time >> level) failed_ = level == "error";
    }

    double age() const {
        std::error_code error;
        fs::file_time_type newest = fs::last_write_time(folder_, error);
        for (const char* name : {"config.yaml", "metrics.jsonl", "log.txt", "checkpoints"})
            if (const auto time = fs::last_write_time(folder_ / name, error); !error) newest = std::max(newest, time);
        const auto now = fs::file_time_type::clock::now();
        return std::max(0.0, std::chrono::duration<double>(now - newest).count());
    }
    RunState state() const {
        if (is_held(folder_)) return RunState::running;
        if (saved_ && out_.steps && *saved_ >= *out_.steps) return RunState::done;
        if (damaged_) return RunState::damaged;
        if (diverged_) return RunState::diverged;
        if (failed_) return RunState::failed;
        return out_.step ? RunState::partial : RunState::empty;
    }

    fs::path folder_;
    RunSummary out_;
    std::optional<int64_t> saved_;
    bool damaged_ = false, diverged_ = false, failed_ = false;
};

}  // namespace

std::vector<fs::path> find_runs(const fs::path& folder) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) fail(Exit::config, folder.string() + ": no such folder");
    std::vector<fs::path> found;
    find_below(folder, 0, found);
    std::sort(found.begin(), found.end());
    return found;
}

RunSummary summarize_run(const fs::path& folder) { return Summary(folder).read(); }

}  // namespace sluice
