#include "checkpoint/set_aside.h"

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/branch_metrics.h"
#include "checkpoint/checkpoint.h"
#include "cli/terminal.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
// A GoingBack that is under way, in the folder that the steps move to. It is written before the first move and removed
// after the last, so that recover() can finish it: every move below can be repeated.
constexpr char kPlan[] = "unfinished.json";

fs::path real_path(const fs::path& path, Exit code = Exit::disk) {
    std::error_code error;
    const fs::path real = fs::canonical(path, error);
    if (error) fail(code, path.string() + ": " + why_not(path, error.value()));
    return real;
}

// The folders' name up to the number. They are beside the real folder of checkpoints, and so as deep: relative links in
// a step stay valid when it moves.
std::string folder_stem(const fs::path& checkpoints) { return real_path(checkpoints).string() + "_set_aside_"; }

// The first of these folders that does not exist or is empty.
fs::path next_folder(const fs::path& checkpoints) {
    std::error_code ignored;
    const std::string stem = folder_stem(checkpoints);
    for (int64_t n = 1;; n++) {
        const fs::path folder = stem + std::to_string(n);
        if (fs::symlink_status(folder, ignored).type() == fs::file_type::not_found || fs::is_empty(folder, ignored))
            return folder;
    }
}

// The target of a link in checkpoints/ to a step folder. Within the same run's folder it is relative, and stays valid
// when that folder is moved.
fs::path link_to(const fs::path& step, const fs::path& checkpoints) {
    const fs::path real = real_path(step, Exit::checkpoint), home = real_path(checkpoints);
    const fs::path within = real.lexically_relative(home.parent_path());
    return within.empty() || *within.begin() == ".." ? real : ".." / within;
}

// Copies metrics.jsonl, then keeps in it only the rows that led to the step that the run goes back to. A copy that is
// already there was made before a crash, and is the complete one.
void split_metrics(const fs::path& checkpoints, const fs::path& folder, const GoingBack& back) {
    const fs::path given = checkpoints.parent_path() / "metrics.jsonl", copy = folder / "metrics.jsonl";
    const bool there = is_there(given);
    if (!there && back.metrics.empty()) return;
    const fs::path metrics = there ? real_path(given) : given;
    const std::string text = there ? read_file(metrics, int(Exit::disk), kLargestMetrics, Links::follow) : "";
    if (!is_there(copy)) write_file(copy, text);
    write_file(metrics, back.metrics.empty() ? rows_up_to(text, back.to) : back.metrics);
}

// Moves the steps after back.to, then makes the link to an adopted one. After a crash the link may already be there,
// among the steps: it is not moved.
void move_steps(const fs::path& checkpoints, const fs::path& folder, const GoingBack& back) {
    std::error_code ignored;
    const fs::path link = back.adopt.empty() ? "" : link_to(back.adopt, checkpoints);
    const fs::path adopted = checkpoints / step_name(back.adopt_step);
    for (const auto& step : list_checkpoints(checkpoints)) {
        if (step_of(step) <= back.to) continue;
        if (!link.empty() && step == adopted && fs::read_symlink(step, ignored) == link) continue;
        rename_path(step, folder / step.filename());
    }
    if (!link.empty() && symlink(link.c_str(), adopted.c_str()) != 0 && errno != EEXIST)
        fail(Exit::disk, adopted.string() + ": cannot link to " + link.string() + ": " + std::strerror(errno));
}

void finish(const fs::path& checkpoints, const fs::path& folder, const GoingBack& back) {
    move_steps(checkpoints, folder, back);
    split_metrics(checkpoints, folder, back);
    if (const auto steps = list_checkpoints(checkpoints); !steps.empty())
        write_file(checkpoints / "LATEST", steps[0].filename().string() + "\n");
    sync_folder(checkpoints);
    sync_folder(folder);
    remove_tree(folder / kPlan);
    sync_folder(folder);
}

GoingBack read_plan(const fs::path& path) {
    try {
        const Json json = parse_json(read_file(path, int(Exit::disk), kLargestMetrics));
        GoingBack back;
        if (json.contains("to")) back.to = to_integer(json["to"], "to");
        if (!json.contains("adopt")) return back;
        back.adopt = to_text(json["adopt"], "adopt");
        back.adopt_step = to_integer(member(json, "adopt_step"), "adopt_step");
        if (json.contains("metrics")) back.metrics = to_text(json["metrics"], "metrics");
        return back;
    } catch (const JsonError& e) { fail(Exit::disk, path.string() + ": " + e.what()); }
}

void write_plan(const fs::path& folder, const GoingBack& back) {
    Json plan = Json::object();
    if (back.to >= 0) plan["to"] = back.to;
    if (!back.adopt.empty()) plan.update({{"adopt", back.adopt.string()}, {"adopt_step", back.adopt_step}});
    if (!back.metrics.empty()) plan["metrics"] = back.metrics;
    make_folders(folder);
    write_file(folder / kPlan, plan.dump() + "\n");
    sync_folder(folder.parent_path());
}

void remove_or_warn(const fs::path& path) {
    try {
        remove_tree(path);
    } catch (const Failure& f) { print_warning(f.what()); }
}

}  // namespace

fs::path go_back(const fs::path& checkpoints, const GoingBack& back) {
    GoingBack plan = back;
    if (!plan.adopt.empty()) {
        plan.metrics = branch_metrics(plan.adopt, plan.adopt_step);
        plan.adopt = real_path(plan.adopt, Exit::checkpoint);
    }
    const fs::path folder = next_folder(checkpoints);
    write_plan(folder, plan);
    finish(checkpoints, folder, plan);
    return folder;
}

fs::path set_aside(const fs::path& checkpoints, const fs::path& step) {
    const fs::path folder = next_folder(checkpoints);
    make_folders(folder);
    rename_path(step, folder / step.filename());
    sync_folder(folder);
    return folder / step.filename();
}

void discard(const fs::path& step) {
    const fs::path trash = step.string() + ".trash";
    rename_path(step, trash);
    remove_or_warn(trash);
}

void sweep(const fs::path& checkpoints) {
    for (const auto& path : list_folder(checkpoints, int(Exit::checkpoint))) {
        const std::string extension = path.extension().string();
        const bool left = extension == ".tmp" || extension == ".trash";
        if (left && (path.stem() == "LATEST" || step_of(path.stem()) >= 0)) remove_or_warn(path);
    }
}

void recover(const fs::path& checkpoints, std::vector<std::string>& warnings) {
    std::error_code error;
    if (fs::symlink_status(checkpoints, error).type() == fs::file_type::not_found) return;
    list_folder(checkpoints, int(Exit::checkpoint));  // says what is wrong with it
    const std::string stem = folder_stem(checkpoints);
    for (int64_t n = 1; is_there(stem + std::to_string(n)); n++) {
        const fs::path folder = stem + std::to_string(n);
        if (!is_there(folder / kPlan)) continue;
        finish(checkpoints, folder, read_plan(folder / kPlan));
        warnings.push_back("a start that went back was interrupted: what it set aside is now in " + folder.string());
    }
    sweep(checkpoints);
}

}  // namespace sluice
