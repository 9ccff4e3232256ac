// Saves checkpoints, in the background if asked. begin() and finish() are collective; done() is not.
//
//     step-00001200.tmp/   every rank writes its own rows to a file, and syncs it
//     manifest.json        rank 0 writes it when all ranks are done: sizes, hashes, pieces
//     step-00001200/       rank 0 renames the folder, writes LATEST, and removes older steps than `keep` allows
//
// Errors: Failure(Exit::disk) on every rank, with the message of the first that failed. Older checkpoints stay as they
// are.
#pragma once
#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "checkpoint/checkpoint.h"
#include "parallel/comm.h"

namespace sluice {

struct Manifest;

// The checkpoints to which a run goes back by itself: of every so many steps, and at least `window` steps old, so that
// they are the same ones whether the run was stopped meanwhile or not.
struct Rewinds {
    int64_t every = 0, window = 0;  // every 0: it does not

    bool uses(int64_t step) const { return every > 0 && step % every == 0; }
};
// The newest valid one of them for a run that is at `step`. Others are told of in `warnings`. Errors:
// Failure(Exit::checkpoint) where the folder cannot be read.
std::optional<Checkpoint> find_rewind(const std::filesystem::path& checkpoints, const Rewinds& rewinds, int64_t step,
                                      std::vector<std::string>& warnings);

class CheckpointWriter {
 public:
    // keep: how many of the newest checkpoints stay; the newest one whose last update was applied stays too, and those
    // that `rewinds` may need. 0: all.
    CheckpointWriter(std::filesystem::path folder, bool async, int64_t keep, Rewinds rewinds = {})
        : folder_(std::move(folder)), async_(async), keep_(keep), rewinds_(rewinds) {}
    ~CheckpointWriter();

    // If async, returns before this rank's own rows are written. They are copied from the host's memory before it
    // returns; from a device's beside what follows, on a stream of their own, and the state must not change until
    // wait_copied(). Else the state must not change until finish().
    void begin(Comm& comm, const CheckpointInfo& info, const std::vector<StateTensor>& state);
    void wait_copied();
    bool pending() const { return pending_; }
    bool done() const { return written_; }  // this rank's file is on disk
    int64_t finish(Comm& comm);             // waits, commits; returns the bytes of all ranks' files

 private:
    void take_snapshot();
    void write_own_rows();
    void commit(const std::vector<std::string>& reports, int64_t& bytes);
    enum class Condition { damaged, skipped, applied };  // skipped, applied: valid; what its last step did
    Condition condition_of(const std::filesystem::path& step);
    void put_in_place(const Manifest& manifest, const std::filesystem::path& final_path);
    void prune(const std::filesystem::path& just_written);

    std::filesystem::path folder_, temporary_;
    bool async_;
    int64_t keep_;
    Rewinds rewinds_;
    CheckpointInfo info_;
    std::map<std::string, StoredTensor> whole_state_;  // every tensor of all ranks, without pieces
    std::vector<StateTensor> own_rows_;                // what this rank writes
    std::vector<char> snapshot_;                       // copies of own_rows_; kept between saves, so allocated once
    std::unique_ptr<CopyStream> copies_;               // of snapshots, from a device
    std::unique_ptr<StreamEvent> updated_;             // the state is as it is to be copied
    std::string file_, report_;                        // report: JSON of size, hash, pieces, or of an error
    std::thread thread_;
    std::mutex mutex_;                   // guards copied_
    std::condition_variable copy_done_;  // it is
    bool copied_ = true;                 // the snapshot is taken
    std::atomic<bool> written_{false};
    bool pending_ = false;
    std::map<std::filesystem::path, Condition> known_;  // steps that were written or verified
};

}  // namespace sluice
