#include "checkpoint/checkpoint_writer.h"

#include <algorithm>
#include <cstdio>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "checkpoint/manifest.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/set_aside.h"
#include "cli/terminal.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// Collective. Returns every rank's text, by rank: first the lengths are gathered, then the texts padded to the longest.
std::vector<std::string> gather_text(Comm& comm, const std::string& mine) {
    const size_t ranks = size_t(comm.size());
    std::vector<int64_t> lengths(ranks);
    const int64_t length = int64_t(mine.size());
    comm.all_gather(lengths.data(), &length, 1);
    const size_t width = size_t(*std::max_element(lengths.begin(), lengths.end()));
    std::string padded = mine, all(ranks * width, '\0');
    padded.resize(width);
    comm.all_gather(all.data(), padded.data(), int64_t(width));
    std::vector<std::string> texts;
    for (size_t r = 0; r < ranks; r++) texts.push_back(all.substr(r * width, size_t(lengths[r])));
    return texts;
}

// Collective. Runs body on rank 0. If it fails, every rank throws Failure(Exit::disk) with its message.
template <class F>
void on_rank_zero(Comm& comm, F body) {
    std::string error;
    if (comm.rank() == 0) {
        try {
            body();
        } catch (const Failure& f) { error = f.what(); }
    }
    const std::string rank0_error = gather_text(comm, error)[0];
    if (!rank0_error.empty()) fail(Exit::disk, rank0_error);
}

// A digest that does not depend on how a tensor is split: two sums over its elements of a hash of the value's bits and
// the index in the whole tensor. Digests of pieces add up to that of the tensor.
struct Digest {
    uint64_t low = 0, high = 0;

    template <class Word>
    void add(const Word* x, const Box& box, const std::vector<int64_t>& shape) {
        const Box whole{std::vector<int64_t>(shape.size(), 0), shape};
        for_each_run(box, whole, box, [&](int64_t index, int64_t at, int64_t count) {
            for (int64_t i = 0; i < count; i++) {
                const uint64_t h = mix(uint64_t(x[at + i]), uint64_t(index + i));
                low += h;
                high += (h ^ h >> 32) * 0x9e3779b97f4a7c15;
            }
        });
    }
};

Digest digest_of(const StateTensor& t, const void* host) {
    Digest digest;
    if (dtype_bytes(t.dtype) == 4)
        digest.add(static_cast<const uint32_t*>(host), t.box, t.shape);
    else
        digest.add(static_cast<const uint64_t*>(host), t.box, t.shape);
    return digest;
}

size_t bytes_of(const StateTensor& t) { return size_t(volume(t.box.shape)) * dtype_bytes(t.dtype); }

void copy_to_host(const StateTensor& t, char* host) {
    t.memory->to_host(t.stream, host, t.data, bytes_of(t));
    t.memory->wait(t.stream);
}

// The tensor with the rows that this rank writes alone. They are contiguous in its memory.
StateTensor own_rows(StateTensor t) {
    const int64_t row = t.box.shape[0] > 0 ? volume(t.box.shape) / t.box.shape[0] : 0;
    t.data = static_cast<char*>(t.data) + size_t((t.own.start[0] - t.box.start[0]) * row) * dtype_bytes(t.dtype);
    t.box = t.own;
    return t;
}

std::string file_name(int rank) {
    char text[40];
    std::snprintf(text, sizeof text, "rank-%05d.safetensors", rank);
    return text;
}

// Adds a record; ranks with the same choices go into one record.
void add_record(std::vector<AutotuneRecord>& all, AutotuneRecord record) {
    for (AutotuneRecord& other : all)
        if (other.machine == record.machine && other.lines == record.lines) {
            other.ranks.merge(record.ranks);
            return;
        }
    all.push_back(std::move(record));
}

// Adds the records that this rank has kept of machines and libraries that no rank uses any more.
void add_left_behind(std::vector<AutotuneRecord>& all, const std::vector<AutotuneRecord>& mine) {
    std::set<std::string> in_use;
    for (const AutotuneRecord& record : all) in_use.insert(record.machine);
    for (const AutotuneRecord& record : mine)
        if (record.ranks.empty() && !in_use.count(record.machine)) add_record(all, record);
}

}  // namespace

std::optional<Checkpoint> find_rewind(const fs::path& checkpoints, const Rewinds& rewinds, int64_t step,
                                      std::vector<std::string>& warnings) {
    for (const auto& path : list_checkpoints(checkpoints)) {
        if (!rewinds.uses(step_of(path)) || step_of(path) + rewinds.window > step) continue;
        try {
            return open_checkpoint(path);
        } catch (const Failure& f) { warnings.push_back(std::string("skipped ") + f.what()); }
    }
    return std::nullopt;
}

CheckpointWriter::~CheckpointWriter() {
    if (thread_.joinable()) thread_.join();
}

void CheckpointWriter::begin(Comm& comm, const CheckpointInfo& info, const std::vector<StateTensor>& state) {
    check(!pending_, "a checkpoint begins before the last is finished");
    info_ = info;
    file_ = file_name(comm.rank());
    temporary_ = folder_ / (step_name(info.step) + ".tmp");
    on_rank_zero(comm, [&] {
        make_folders(folder_);
        sweep(folder_);
        make_folders(temporary_);
    });
    whole_state_.clear();
    own_rows_.clear();
    size_t bytes = 0;
    for (const StateTensor& t : state) {
        whole_state_[t.name] = {t.dtype, t.shape, {}};
        if (volume(t.own.shape) == 0) continue;
        own_rows_.push_back(own_rows(t));
        bytes += bytes_of(own_rows_.back());
    }
    pending_ = true;
    written_ = false;
    if (!async_) return write_own_rows();
    // Training goes on while the thread writes: what it writes is a copy of all own rows, one after another.
    snapshot_.resize(bytes);
    if (own_rows_.empty() || own_rows_[0].memory == &host_memory()) {
        take_snapshot();
        thread_ = std::thread([this] { write_own_rows(); });
        return;
    }
    Memory& memory = *own_rows_[0].memory;
    if (!copies_) {
        copies_ = std::make_unique<CopyStream>(memory);
        updated_ = std::make_unique<StreamEvent>(memory);
    }
    updated_->record(own_rows_[0].stream);
    updated_->hold_back(copies_->get());
    for (StateTensor& t : own_rows_) t.stream = copies_->get();
    copied_ = false;
    thread_ = std::thread([this, &memory] {
        std::string error;
        try {
            memory.use_from_this_thread(copies_->get());
            take_snapshot();
        } catch (const std::exception& e) { error = e.what(); }
        {
            const std::lock_guard lock(mutex_);
            copied_ = true;
        }
        copy_done_.notify_all();
        if (error.empty()) return write_own_rows();
        report_ = Json{{"error", error}}.dump();
        written_ = true;
    });
}

void CheckpointWriter::wait_copied() {
    std::unique_lock lock(mutex_);
    copy_done_.wait(lock, [this] { return copied_; });
}

// Copies own_rows_ to the host, and makes them of the copies.
void CheckpointWriter::take_snapshot() {
    size_t at = 0;
    for (StateTensor& t : own_rows_) {
        copy_to_host(t, snapshot_.data() + at);
        t.data = snapshot_.data() + at;
        t.memory = &host_memory();
        t.stream = {};
        at += bytes_of(t);
    }
}

// Writes this rank's file. Only report_ leaves it: rank 0 needs it for the manifest, and an error must not be thrown
// from a thread.
void CheckpointWriter::write_own_rows() {
    Json report;
    try {
        std::vector<TensorData> tensors;
        std::vector<char> host;  // of a tensor that lies in another memory
        for (const StateTensor& t : own_rows_)
            tensors.push_back({t.name, t.dtype, t.box.shape,
                               [&] {
                                   const void* data = t.data;
                                   if (t.memory != &host_memory()) {
                                       host.resize(bytes_of(t));
                                       copy_to_host(t, host.data());
                                       data = host.data();
                                   }
                                   const Digest digest = digest_of(t, data);
                                   report["tensors"][t.name] = {{"start", t.box.start},
                                                                {"shape", t.box.shape},
                                                                {"digest", {digest.low, digest.high}}};
                                   return data;
                               },
                               bytes_of(t)});
        const FileSummary summary = write_safetensors(temporary_ / file_, tensors);
        report["size"] = summary.size;
        for (const AutotuneRecord& mine : info_.autotune)
            if (!mine.ranks.empty()) report["autotune"][mine.machine] = mine.lines;
        report["hash"] = summary.hash;
    } catch (const std::exception& e) { report["error"] = e.what(); }
    report_ = report.dump();
    written_ = true;
}

int64_t CheckpointWriter::finish(Comm& comm) {
    check(pending_, "no checkpoint to finish");
    if (thread_.joinable()) thread_.join();
    pending_ = false;
    const auto reports = gather_text(comm, report_);
    int64_t bytes = 0;
    on_rank_zero(comm, [&] { commit(reports, bytes); });
    comm.broadcast(&bytes, sizeof bytes, 0);
    return bytes;
}

// A valid step is verified once, a damaged one at every call.
CheckpointWriter::Condition CheckpointWriter::condition_of(const fs::path& step) {
    const auto [known, first] = known_.try_emplace(step, Condition::damaged);
    if (!first && known->second != Condition::damaged) return known->second;
    try {
        known->second = open_checkpoint(step).info.skipped_in_a_row == 0 ? Condition::applied : Condition::skipped;
    } catch (const Failure&) {}
    return known->second;
}

// Removes old steps. The newest `keep` valid ones stay, and the newest one whose last update was applied: from there a
// run resumes after it ended because its steps were not finite. Of those that a run goes back to by itself, the newest
// one that is old enough stays, and all after it, which will be. Damaged steps do not count, and are removed when they
// are older than the newest `keep`. Steps after the one just written belong to another course of the run, and stay.
void CheckpointWriter::prune(const fs::path& just_written) {
    const int64_t now = step_of(just_written);
    int64_t kept = 0;
    bool applied = false, can_rewind = false;
    for (const auto& path : list_checkpoints(folder_)) {
        const int64_t step = step_of(path);
        if (step > now) continue;
        const bool enough = kept >= keep_, to_rewind = rewinds_.uses(step) && !can_rewind;
        if (enough && applied && !to_rewind) {
            discard(path);
            continue;
        }
        const Condition condition = condition_of(path);
        const bool valid = condition != Condition::damaged;
        if (enough && (applied || condition != Condition::applied) && !(to_rewind && valid)) {
            discard(path);
            continue;
        }
        applied = applied || condition == Condition::applied;
        can_rewind = can_rewind || (to_rewind && valid && step + rewinds_.window <= now);
        kept += valid;
    }
}

// Renames the temporary folder to final_path, where a step of the same number may already be. A damaged one is
// discarded. A valid one is never overwritten: if its digest is the same it stays, else it is set aside.
void CheckpointWriter::put_in_place(const Manifest& manifest, const fs::path& final_path) {
    std::error_code ignored;
    if (fs::symlink_status(final_path, ignored).type() != fs::file_type::not_found) {
        std::optional<Checkpoint> there;
        try {
            there = open_checkpoint(final_path);
        } catch (const Failure&) {}
        if (!there) {
            discard(final_path);
        } else if (there->info.digest == manifest.info.digest) {
            remove_tree(temporary_);
            return;
        } else {
            print_warning(final_path.string() + ": another one was there: it is now " +
                          set_aside(folder_, final_path).string());
        }
    }
    rename_path(temporary_, final_path);
    known_[final_path] = info_.skipped_in_a_row == 0 ? Condition::applied : Condition::skipped;
}

// On rank 0, from every rank's report: collects files, pieces and autotune records, adds up the digests, writes the
// manifest, and puts the folder in place. Every step reaches the disk before the next: a crash leaves either the whole
// checkpoint or none. bytes: of all files.
void CheckpointWriter::commit(const std::vector<std::string>& reports, int64_t& bytes) {
    try {
        Manifest manifest;
        manifest.info = info_;
        manifest.info.autotune.clear();
        manifest.tensors = whole_state_;
        std::map<std::string, Digest> digests;
        for (size_t r = 0; r < reports.size(); r++) {
            const Json report = parse_json(reports[r]);
            const std::string file = file_name(int(r));
            if (report.contains("error")) fail(Exit::disk, report["error"].get<std::string>());
            manifest.files[file] = {report["size"].get<int64_t>(), report["hash"].get<std::string>()};
            bytes += report["size"].get<int64_t>();
            if (report.contains("autotune"))
                for (const auto& [machine, lines] : report["autotune"].items())
                    add_record(manifest.info.autotune, {machine, lines.get<std::set<std::string>>(), {int64_t(r)}});
            if (!report.contains("tensors")) continue;
            for (const auto& [name, piece] : report["tensors"].items()) {
                manifest.tensors[name].pieces.push_back(
                    {file, {piece["start"].get<std::vector<int64_t>>(), piece["shape"].get<std::vector<int64_t>>()}});
                digests[name].low += piece["digest"][0].get<uint64_t>();
                digests[name].high += piece["digest"][1].get<uint64_t>();
            }
        }
        Hash digest;
        for (const auto& [name, t] : manifest.tensors) {
            digest.add(name);
            digest.add(t.dtype);
            digest.add(t.shape.data(), t.shape.size() * sizeof(int64_t));
            digest.add(&digests[name], sizeof(Digest));
        }
        manifest.info.digest = digest.hex();
        add_left_behind(manifest.info.autotune, info_.autotune);

        const fs::path final_path = folder_ / step_name(info_.step);
        OutputFile file(temporary_ / "manifest.json");
        const std::string text = manifest_text(manifest);
        file.write(text.data(), text.size());
        file.close();
        sync_folder(temporary_);
        put_in_place(manifest, final_path);
        sync_folder(folder_);
        write_file(folder_ / "LATEST", step_name(info_.step) + "\n");
        if (keep_ > 0) prune(final_path);
    } catch (const Failure&) {
        std::error_code ignored;
        fs::remove_all(temporary_, ignored);
        throw;
    }
}

}  // namespace sluice
