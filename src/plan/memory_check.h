// Whether the memory of a rank suffices, judged from the plan before anything is allocated; and what is said where it
// does not: what needs how much, how much there is, and the nearest setting that fits.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "kernels/memory.h"
#include "parallel/comm.h"
#include "plan/plan.h"
#include "plan/search.h"

namespace sluice {

class MemoryCheck {
 public:
    // config: with micro_batch resolved; in inference it is the sequences of a pass. memory: that of the tensors.
    // most_doublings: of the ranks, where more of them could share what one has.
    MemoryCheck(const Config& config, const Comm& comm, Mode mode, Storage storage, Memory& memory,
                int64_t most_doublings = kMostDoublings);

    // Of this rank alone. Errors: Failure(Exit::out_of_memory) where more is needed than this memory can have. What a
    // host could have and does not have now is a warning, by rank 0.
    void require() const;
    // Runs `body`, which allocates. Where that fails, its error is thrown with what else to try.
    void allocate(const std::function<void()>& body) const;

 private:
    Room room() const;
    // Beside the plan: a device's streams and lists; on a host the copy that a checkpoint is written from.
    double beside(int64_t ranks) const;
    std::string needed() const;
    std::string there_is(const Room& room) const;
    // " on 2 ranks that have as much each, with train.micro_batch=4": what needs at most so many bytes, if anything
    // does.
    std::optional<std::string> settings_within(double bytes) const;
    std::string nothing_fits() const;

    Config config_;
    int rank_;
    int64_t ranks_, most_ranks_;
    Mode mode_;
    Storage storage_;
    Memory& memory_;
    bool on_host_, beyond_plan_;  // so many tokens in a pass that fewer were planned
    MemoryPlan plan_;
    double bytes_;  // that a rank needs
};

}  // namespace sluice
