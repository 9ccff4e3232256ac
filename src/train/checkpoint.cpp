#include "train/checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>

#include "base/check.h"
#include "base/file.h"
#include "base/format.h"
#include "base/hash.h"
#include "base/json.h"
#include "train/manifest.h"
#include "train/safetensors.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr size_t kLargestManifest = size_t{1} << 30;

// "step-" and at least eight digits.
bool is_step_name(const std::string& name) {
    return name.size() >= 13 && name.rfind("step-", 0) == 0 &&
           std::all_of(name.begin() + 5, name.end(), [](unsigned char c) { return c >= '0' && c <= '9'; });
}

void verify_file(const fs::path& path, const FileSummary& expected) {
    const InputFile file(path, int(Exit::checkpoint));
    if (int64_t(file.size()) != expected.size)
        fail(Exit::checkpoint, path.string() + ": " + std::to_string(file.size()) + " bytes, the manifest says " +
                                   std::to_string(expected.size));
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

// Every piece stands in its file as the manifest says, and the files hold nothing else.
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

// Reads what a piece has of a tensor's box.
void read_piece(const SafetensorsFile& file, const Piece& p, const StateTensor& t) {
    const auto& entry = file.at(t.name);
    const size_t element = dtype_bytes(t.dtype);
    for_each_run(intersection(p.box, t.box), p.box, t.box, [&](int64_t from, int64_t to, int64_t count) {
        file.read(entry, static_cast<char*>(t.data) + size_t(to) * element, size_t(count) * element,
                  size_t(from) * element);
    });
}

}  // namespace

std::string step_name(int64_t step) {
    char text[32];
    std::snprintf(text, sizeof text, "step-%08lld", (long long)step);
    return text;
}

Checkpoint open_checkpoint(const fs::path& folder) {
    if (fs::is_symlink(fs::symlink_status(folder))) fail(Exit::checkpoint, folder.string() + ": is a link");
    if (!fs::is_directory(folder)) fail(Exit::checkpoint, folder.string() + ": no such checkpoint");
    Checkpoint c;
    c.path = folder;
    Manifest manifest;
    const fs::path manifest_path = folder / "manifest.json";
    try {
        manifest = parse_manifest(read_file(manifest_path, int(Exit::checkpoint), kLargestManifest));
    } catch (const JsonError& e) { fail(Exit::checkpoint, manifest_path.string() + ": " + e.what()); }
    c.info = std::move(manifest.info);
    c.tensors = std::move(manifest.tensors);
    if (is_step_name(folder.filename().string()) && folder.filename().string() != step_name(c.info.step))
        fail(Exit::checkpoint, manifest_path.string() + ": is of step " + std::to_string(c.info.step));
    for (const auto& entry : fs::directory_iterator(folder))
        if (const std::string name = entry.path().filename().string();
            name != "manifest.json" && !manifest.files.count(name))
            fail(Exit::checkpoint, entry.path().string() + ": the manifest does not know this file");
    for (const auto& [name, summary] : manifest.files) verify_file(folder / name, summary);
    verify_pieces(c, manifest.files);
    return c;
}

std::vector<fs::path> list_checkpoints(const fs::path& folder) {
    std::vector<fs::path> steps;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error))
        if (is_step_name(entry.path().filename().string())) steps.push_back(entry.path());
    std::sort(steps.begin(), steps.end(), [](const fs::path& a, const fs::path& b) {
        const std::string x = a.filename(), y = b.filename();
        return std::pair(x.size(), x) > std::pair(y.size(), y);
    });
    return steps;
}

Checkpoint find_checkpoint(const fs::path& path, std::vector<std::string>& skipped) {
    fs::path given = path;
    if (!given.has_filename()) given = given.parent_path();  // a trailing slash
    if (is_step_name(given.filename().string()) || fs::exists(given / "manifest.json")) return open_checkpoint(given);
    const fs::path folder = fs::is_directory(given / "checkpoints") ? given / "checkpoints" : given;
    const auto steps = list_checkpoints(folder);
    for (const auto& step : steps) {
        try {
            return open_checkpoint(step);
        } catch (const Failure& f) { skipped.push_back(f.what()); }
    }
    if (steps.empty()) fail(Exit::checkpoint, path.string() + ": no checkpoint there");
    fail(Exit::checkpoint, path.string() + ": no valid one among " + counted(int64_t(steps.size()), "checkpoint") +
                               "; the newest: " + skipped[0]);
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
        if (!wanted.count(name) && !(allow_missing && name.rfind("adam.", 0) == 0))
            refuse(name, "is not one of the model's");

    std::map<std::string, std::unique_ptr<SafetensorsFile>> files;
    for (const StateTensor& t : state) {
        const auto stored = c.tensors.find(t.name);
        if (stored == c.tensors.end()) continue;
        for (const Piece& p : stored->second.pieces) {
            if (volume(intersection(p.box, t.box).shape) == 0) continue;
            auto& file = files[p.file];
            if (!file) file = std::make_unique<SafetensorsFile>(c.path / p.file);
            read_piece(*file, p, t);
        }
    }
    return missing;
}

}  // namespace sluice
