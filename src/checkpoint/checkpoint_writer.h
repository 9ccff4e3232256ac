// Saves checkpoints, in the background if asked. begin() and finish() are collective; done() is not.
//
//     step-00001200.tmp/   every rank writes and fsyncs the rows it answers for
//     manifest.json        rank 0, when all have: sizes, hashes, pieces
//     step-00001200/       one rename; then LATEST, then what `keep` lets go
//
// Errors: Failure(Exit::disk) on every rank, with the line of the first that failed; older checkpoints stay as they
// are.
#pragma once
#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "checkpoint/checkpoint.h"
#include "parallel/comm.h"

namespace sluice {

struct Manifest;

class CheckpointWriter {
 public:
    // keep: newest checkpoints that stay, beside the newest whose last update was applied; 0: all.
    CheckpointWriter(std::filesystem::path folder, bool async, int64_t keep)
        : folder_(std::move(folder)), async_(async), keep_(keep) {}
    ~CheckpointWriter();

    // Takes a copy of this rank's share when async, else the state must not change until finish().
    void begin(Comm& comm, const CheckpointInfo& info, const std::vector<StateTensor>& state);
    bool pending() const { return pending_; }
    bool done() const { return written_; }  // this rank's file is on disk
    int64_t finish(Comm& comm);             // returns the bytes of all ranks

 private:
    void write_share();
    void commit(const std::vector<std::string>& reports, int64_t& bytes);
    enum class Worth { none, skipped, applied };  // none: damaged
    Worth worth(const std::filesystem::path& step);
    void put_in_place(const Manifest& manifest, const std::filesystem::path& final_path);
    void prune(const std::filesystem::path& just_written);

    std::filesystem::path folder_, temporary_;
    bool async_;
    int64_t keep_;
    CheckpointInfo info_;
    std::map<std::string, StoredTensor> whole_state_;  // without pieces
    std::vector<StateTensor> share_;                   // what this rank writes
    std::vector<char> snapshot_;                       // kept between saves: nothing is allocated twice
    std::string file_, report_;                        // report: JSON of size, hash, pieces, or of an error
    std::thread thread_;
    std::atomic<bool> written_{false};
    bool pending_ = false;
    std::map<std::filesystem::path, Worth> known_;  // steps written or verified
};

}  // namespace sluice
