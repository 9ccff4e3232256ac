#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>

#include "base/check.h"
#include "base/file.h"
#include "base/format.h"
#include "base/hash.h"
#include "base/json.h"
#include "checkpoint/manifest.h"
#include "checkpoint/run_lock.h"
#include "checkpoint/safetensors.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// "step-" and at least eight digits.
bool is_step_name(const std::string& name) {
    return name.size() >= 13 && name.rfind("step-", 0) == 0 &&
           std::all_of(name.begin() + 5, name.end(), [](unsigned char c) { return c >= '0' && c <= '9'; });
}

void verify_file(const fs::path& path, const FileSummary& expected, Verify verify) {
    const InputFile file(path, int(Exit::checkpoint), Links::follow);
    if (int64_t(file.size()) != expected.size)
        fail(Exit::checkpoint, path.string() + ": " + std::to_string(file.size()) + " bytes, the manifest says " +
                                   std::to_string(expected.size));
    if (verify == Verify::sizes) return;
    std::vector<char> buffer(size_t{1} << 22);
    Hash hash;
    for (size_t at = 0; at < file.size(); at += buffer.size()) {
        const size_t n = std::min(buffer.size(), file.size() - at);
        file.read(buffer.data(), n, at);
        hash.add(buffer.data(), n);
    }
    if (hash.hex() != expected.hash)
        fail(Exit::checkpoint, path.string() + ": its hash is not the manifest's: the file is damaged");
}

// Whether a run writes files of this name to checkpoints/. Those that end with .tmp or .trash are being written or
// removed, or were when a run crashed.
bool is_known_name(const std::string& name) {
    for (const char* ending : {"", ".tmp", ".trash"})
        if (name.ends_with(ending)) {
            const std::string stem = name.substr(0, name.size() - std::strlen(ending));
            if (stem == "LATEST" || is_step_name(stem)) return true;
        }
    return name == kLockName;
}

void warn_of_unknown_files(const fs::path& folder, std::vector<std::string>& warnings) {
    std::vector<std::string> strays;
    for (const auto& entry : list_folder(folder, int(Exit::checkpoint)))
        if (const std::string name = entry.filename().string(); !is_known_name(name)) strays.push_back(name);
    if (!strays.empty())
        warnings.push_back(folder.string() + ": ignored what is no checkpoint: " + format_list(strays));
}

void require_folder(const fs::path& folder) {
    std::error_code error, ignored;
    if (fs::is_directory(folder, error)) return;
    if (fs::symlink_status(folder, ignored).type() == fs::file_type::not_found)
        fail(Exit::checkpoint, folder.string() + ": no such checkpoint");
    fail(Exit::checkpoint, folder.string() + ": " + (error ? why_not(folder, error.value()) : "not a folder"));
}

// Checks that every piece is in its file with the manifest's dtype and shape, and that the files have no other tensors.
void verify_pieces(const Checkpoint& c, const std::map<std::string, FileSummary>& files) {
    std::map<std::string, std::unique_ptr<SafetensorsFile>> open;
    std::map<std::string, size_t> expected;
    for (const auto& [name, summary] : files) open[name] = std::make_unique<SafetensorsFile>(c.path / name);
    for (const auto& [name, t] : c.tensors)
        for (const Piece& p : t.pieces) {
            const auto& entry = open.at(p.file)->at(name);
            if (entry.dtype != t.dtype || entry.shape != p.box.shape)
                fail(Exit::checkpoint,
                     (c.path / p.file).string() + ": tensor '" + name + "' is not as the manifest says");
            expected[p.file]++;
        }
    for (const auto& [name, file] : open)
        if (file->tensors().size() != expected[name])
            fail(Exit::checkpoint, (c.path / name).string() + ": holds tensors that the manifest does not know");
}

std::string shape_text(const std::vector<int64_t>& shape) {
    std::string text;
    for (int64_t extent : shape) text += (text.empty() ? "" : ", ") + std::to_string(extent);
    return "[" + text + "]";
}

// Reads the elements that a piece has in common with this rank's box of a tensor into host (box). For each contiguous
// run `from` and `to` are the element's index in the piece and in the box.
void read_piece(const SafetensorsFile& file, const Piece& p, const StateTensor& t, char* host) {
    const auto& entry = file.at(t.name);
    const size_t element = dtype_bytes(t.dtype);
    for_each_run(intersection(p.box, t.box), p.box, t.box, [&](int64_t from, int64_t to, int64_t count) {
        file.read(entry, host + size_t(to) * element, size_t(count) * element, size_t(from) * element);
    });
}

}  // namespace

std::string step_name(int64_t step) {
    char text[32];
    std::snprintf(text, sizeof text, "step-%08lld", (long long)step);
    return text;
}

int64_t step_of(const fs::path& folder) {
    const std::string name = folder.filename().string();
    return is_step_name(name) ? std::strtoll(name.c_str() + 5, nullptr, 10) : -1;
}

Checkpoint open_checkpoint(const fs::path& folder, Verify verify) {
    require_folder(folder);
    Checkpoint c;
    c.path = folder;
    Manifest manifest;
    const fs::path manifest_path = folder / "manifest.json";
    try {
        manifest = parse_manifest(read_file(manifest_path, int(Exit::checkpoint), kLargestManifest, Links::follow));
    } catch (const JsonError& e) { fail(Exit::checkpoint, manifest_path.string() + ": " + e.what()); }
    c.info = std::move(manifest.info);
    c.tensors = std::move(manifest.tensors);
    if (is_step_name(folder.filename().string()) && folder.filename().string() != step_name(c.info.step))
        fail(Exit::checkpoint, manifest_path.string() + ": is of step " + std::to_string(c.info.step));
    for (const auto& entry : list_folder(folder, int(Exit::checkpoint)))
        if (const std::string name = entry.filename().string(); name != "manifest.json" && !manifest.files.count(name))
            c.strays.push_back(name);
    for (const auto& [name, summary] : manifest.files) verify_file(folder / name, summary, verify);
    verify_pieces(c, manifest.files);
    return c;
}

std::vector<fs::path> list_checkpoints(const fs::path& folder) {
    std::vector<fs::path> steps;
    std::error_code error;
    if (fs::symlink_status(folder, error).type() == fs::file_type::not_found) return steps;
    for (const auto& entry : list_folder(folder, int(Exit::checkpoint)))
        if (is_step_name(entry.filename().string())) steps.push_back(entry);
    std::sort(steps.begin(), steps.end(), [](const fs::path& a, const fs::path& b) {
        const std::string x = a.filename(), y = b.filename();
        return std::pair(x.size(), x) > std::pair(y.size(), y);
    });
    return steps;
}

Checkpoint find_checkpoint(const fs::path& path, std::vector<std::string>& warnings) {
    fs::path given = path;
    if (!given.has_filename()) given = given.parent_path();  // a trailing slash
    const auto open = [&](const fs::path& step) {
        Checkpoint c = open_checkpoint(step);
        if (!c.strays.empty())
            warnings.push_back(step.string() + ": ignored what its manifest does not list: " + format_list(c.strays));
        return c;
    };
    if (is_step_name(given.filename().string()) || is_there(given / "manifest.json")) return open(given);
    std::error_code error;
    const bool run = fs::symlink_status(given / "checkpoints", error).type() != fs::file_type::not_found;
    const fs::path folder = run ? given / "checkpoints" : given;
    const auto steps = list_checkpoints(folder);
    if (folder.filename() == "checkpoints") warn_of_unknown_files(folder, warnings);
    std::string newest;  // what is wrong with the newest step
    for (const auto& step : steps) {
        try {
            return open(step);
        } catch (const Failure& f) {
            warnings.push_back(std::string("skipped ") + f.what());
            if (newest.empty()) newest = f.what();
        }
    }
    if (steps.empty()) fail(Exit::checkpoint, path.string() + ": no checkpoint there");
    fail(Exit::checkpoint, path.string() + ": no valid one among " + counted(int64_t(steps.size()), "checkpoint") +
                               "; the newest: " + newest);
}

std::vector<std::string> load_checkpoint(const Checkpoint& c, const std::vector<StateTensor>& state,
                                         bool allow_missing) {
    std::vector<std::string> missing;
    std::set<std::string> wanted;
    const auto refuse = [&](const std::string& name, const std::string& why) {
        fail(Exit::checkpoint, c.path.string() + ": tensor '" + name + "' " + why);
    };
    for (const StateTensor& t : state) {
        wanted.insert(t.name);
        const auto stored = c.tensors.find(t.name);
        if (stored == c.tensors.end()) {
            if (!allow_missing) refuse(t.name, "is missing");
            missing.push_back(t.name);
        } else if (stored->second.shape != t.shape) {
            refuse(t.name,
                   "has shape " + shape_text(stored->second.shape) + ", the model needs " + shape_text(t.shape));
        } else if (stored->second.dtype != t.dtype) {
            refuse(t.name, "is " + stored->second.dtype + ", needed is " + t.dtype);
        }
    }
    for (const auto& [name, t] : c.tensors)
        if (!wanted.count(name) && !(allow_missing && is_optimizer_state(name)))
            refuse(name, "is not one of the model's");

    std::map<std::string, std::unique_ptr<SafetensorsFile>> files;
    std::vector<char> host;
    for (const StateTensor& t : state) {
        const auto stored = c.tensors.find(t.name);
        if (stored == c.tensors.end()) continue;
        host.resize(size_t(volume(t.box.shape)) * dtype_bytes(t.dtype));
        for (const Piece& p : stored->second.pieces) {
            if (volume(intersection(p.box, t.box).shape) == 0) continue;
            auto& file = files[p.file];
            if (!file) file = std::make_unique<SafetensorsFile>(c.path / p.file);
            read_piece(*file, p, t, host.data());
        }
        t.memory->to_device(t.stream, t.data, host.data(), host.size());
    }
    return missing;
}

}  // namespace sluice
