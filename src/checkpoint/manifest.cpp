#include "checkpoint/manifest.h"

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"

namespace sluice {
namespace {

// A file must be directly inside the checkpoint's folder: no separators, no hidden files.
void check_file_name(const std::string& name) {
    const bool plain = !name.empty() && name[0] != '.' && name.find_first_of("/\\") == std::string::npos;
    if (!plain || name.size() > 255) throw JsonError("file name '" + name + "' is not a plain name");
}

std::vector<int64_t> to_extents(const Json& value, const char* what) {
    if (!value.is_array()) throw JsonError(std::string("'") + what + "' is not a list");
    std::vector<int64_t> extents;
    for (const Json& x : value) extents.push_back(to_integer(x, what));
    return extents;
}

bool overlap(const Box& a, const Box& b) {
    for (size_t d = 0; d < a.shape.size(); d++)
        if (a.start[d] + a.shape[d] <= b.start[d] || b.start[d] + b.shape[d] <= a.start[d]) return false;
    return true;
}

// Checks that the pieces are within the tensor, do not overlap, and cover it. 128 bits: extents from a file may be
// large.
void check_cover(const StoredTensor& t) {
    const auto volume = [](const std::vector<int64_t>& shape) {
        unsigned __int128 n = 1;
        for (int64_t extent : shape) n *= uint64_t(extent);
        return n;
    };
    unsigned __int128 covered = 0;
    for (const auto& [file, p] : t.pieces) {
        if (p.start.size() != t.shape.size() || p.shape.size() != t.shape.size())
            throw JsonError("a piece of another rank");
        for (size_t d = 0; d < t.shape.size(); d++)
            if (p.start[d] > t.shape[d] || p.shape[d] > t.shape[d] - p.start[d])
                throw JsonError("a piece outside the tensor");
        covered += volume(p.shape);
    }
    for (size_t i = 0; i < t.pieces.size(); i++)
        for (size_t j = 0; j < i; j++)
            if (overlap(t.pieces[i].box, t.pieces[j].box)) throw JsonError("pieces overlap");
    if (covered != volume(t.shape)) throw JsonError("pieces do not cover the tensor");
}

StoredTensor parse_tensor(const Json& value, const Manifest& manifest) {
    StoredTensor t{to_text(member(value, "dtype"), "dtype"), to_extents(member(value, "shape"), "shape"), {}};
    if (!member(value, "pieces").is_array()) throw JsonError("'pieces' is not a list");
    for (const Json& p : value["pieces"]) {
        t.pieces.push_back({to_text(member(p, "file"), "file"),
                            {to_extents(member(p, "start"), "start"), to_extents(member(p, "shape"), "shape")}});
        if (!manifest.files.count(t.pieces.back().file))
            throw JsonError("file '" + t.pieces.back().file + "' is not listed");
    }
    check_cover(t);
    return t;
}

std::vector<AutotuneRecord> parse_autotune(const Json& value) {
    if (!value.is_array()) throw JsonError("'gemm' is not a list");
    std::vector<AutotuneRecord> records;
    for (const Json& group : value) {
        if (!member(group, "ranks").is_array() || !member(group, "ways").is_array())
            throw JsonError("'gemm' has no lists of ranks and ways");
        AutotuneRecord& record = records.emplace_back();
        record.machine = to_text(member(group, "machine"), "machine");
        for (const Json& rank : group["ranks"]) record.ranks.insert(to_integer(rank, "ranks"));
        for (const Json& line : group["ways"]) record.lines.insert(to_text(line, "ways"));
    }
    return records;
}

Json spikes_json(const CheckpointInfo& info) {
    return {{"refused", info.spikes},
            {"in_a_row", info.spike_history->in_a_row},
            {"rewinds", info.rewinds},
            {"furthest", info.furthest},
            {"losses", info.spike_history->losses},
            {"grad_norms", info.spike_history->grad_norms}};
}

std::vector<double> to_numbers(const Json& value, const char* what) {
    if (!value.is_array()) throw JsonError(std::string("'") + what + "' is not a list");
    std::vector<double> numbers;
    for (const Json& x : value) {
        if (!x.is_number()) throw JsonError(std::string("'") + what + "' has something that is no number");
        numbers.push_back(x.get<double>());
    }
    return numbers;
}

void parse_spikes(const Json& value, CheckpointInfo& info) {
    info.spikes = to_integer(member(value, "refused"), "refused");
    info.rewinds = to_integer(member(value, "rewinds"), "rewinds");
    info.furthest = to_integer(member(value, "furthest"), "furthest");
    info.spike_history = {to_numbers(member(value, "losses"), "losses"),
                          to_numbers(member(value, "grad_norms"), "grad_norms"),
                          to_integer(member(value, "in_a_row"), "in_a_row")};
    if (info.spike_history->losses.size() != info.spike_history->grad_norms.size())
        throw JsonError("'spikes' has not as many losses as gradient norms");
}

}  // namespace

std::string manifest_text(const Manifest& m) {
    Json json;
    json["format_version"] = kFormatVersion;
    json["step"] = m.info.step;
    json["tokens"] = m.info.tokens;
    json["config"] = m.info.config_yaml;
    json["mesh"] = m.info.mesh;
    json["data"] = {{"samples", m.info.samples}};
    if (m.info.passed_over > 0) json["data"]["passed_over"] = m.info.passed_over;
    write_data_record(json["data"], m.info.data);
    json["rng"] = {{"seed", m.info.seed}};
    json["optimizer"] = {
        {"updates", m.info.updates}, {"skipped", m.info.skipped}, {"skipped_in_a_row", m.info.skipped_in_a_row}};
    if (m.info.spike_history) json["spikes"] = spikes_json(m.info);
    json["digest"] = m.info.digest;
    json["gemm"] = Json::array();
    for (const AutotuneRecord& record : m.info.autotune)
        json["gemm"].push_back({{"machine", record.machine}, {"ranks", record.ranks}, {"ways", record.lines}});
    if (const auto& b = m.info.branch) json["branch"] = {{"path", b->path}, {"step", b->step}, {"digest", b->digest}};
    for (const auto& [name, file] : m.files) json["files"][name] = {{"size", file.size}, {"hash", file.hash}};
    for (const auto& [name, t] : m.tensors) {
        Json& out = json["tensors"][name] = {{"dtype", t.dtype}, {"shape", t.shape}, {"pieces", Json::array()}};
        for (const Piece& p : t.pieces)
            out["pieces"].push_back({{"file", p.file}, {"start", p.box.start}, {"shape", p.box.shape}});
    }
    return json.dump(1) + "\n";
}

Manifest parse_manifest(const std::string& text) {
    const Json json = parse_json(text);
    const int64_t version = to_integer(member(json, "format_version"), "format_version");
    if (version != kFormatVersion)
        throw JsonError("format version " + std::to_string(version) + " is not known here, only " +
                        std::to_string(kFormatVersion));
    Manifest m;
    m.info.step = to_integer(member(json, "step"), "step");
    m.info.tokens = to_integer(member(json, "tokens"), "tokens");
    m.info.config_yaml = to_text(member(json, "config"), "config");
    m.info.digest = to_text(member(json, "digest"), "digest");
    if (!member(json, "mesh").is_object()) throw JsonError("'mesh' is not an object");
    for (const auto& [name, ranks] : json["mesh"].items()) m.info.mesh[name] = to_integer(ranks, "mesh");
    m.info.samples = to_integer(member(member(json, "data"), "samples"), "samples");
    if (json["data"].contains("passed_over"))
        m.info.passed_over = to_integer(json["data"]["passed_over"], "passed_over");
    if (m.info.passed_over > m.info.samples) throw JsonError("'passed_over' is more than 'samples'");
    m.info.data = parse_data_record(json["data"]);
    m.info.seed = to_integer(member(member(json, "rng"), "seed"), "seed");
    const Json& optimizer = member(json, "optimizer");
    m.info.updates = to_integer(member(optimizer, "updates"), "updates");
    m.info.skipped = to_integer(member(optimizer, "skipped"), "skipped");
    m.info.skipped_in_a_row = to_integer(member(optimizer, "skipped_in_a_row"), "skipped_in_a_row");
    if (json.contains("spikes")) parse_spikes(json["spikes"], m.info);
    if (json.contains("gemm")) m.info.autotune = parse_autotune(json["gemm"]);
    if (json.contains("branch")) {
        const Json& branch = json["branch"];
        m.info.branch = {to_text(member(branch, "path"), "path"), to_text(member(branch, "digest"), "digest"),
                         to_integer(member(branch, "step"), "step")};
    }
    if (!member(json, "files").is_object() || !member(json, "tensors").is_object())
        throw JsonError("'files' or 'tensors' is not an object");
    for (const auto& [name, file] : json["files"].items()) {
        check_file_name(name);
        m.files[name] = {to_integer(member(file, "size"), "size"), to_text(member(file, "hash"), "hash")};
    }
    for (const auto& [name, tensor] : json["tensors"].items()) {
        try {
            m.tensors[name] = parse_tensor(tensor, m);
        } catch (const JsonError& e) { throw JsonError("tensor '" + name + "': " + e.what()); }
    }
    return m;
}

Manifest read_manifest(const std::filesystem::path& path) {
    try {
        return parse_manifest(read_file(path, int(Exit::checkpoint), kLargestManifest, Links::follow));
    } catch (const JsonError& e) { fail(Exit::checkpoint, path.string() + ": " + e.what()); }
}

}  // namespace sluice
