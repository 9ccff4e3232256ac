#include "plan/memory_check.h"

#include <algorithm>
#include <new>
#include <vector>

#include "base/check.h"
#include "base/format.h"
#include "base/machine.h"
#include "cli/terminal.h"
#include "plan/nearest.h"

namespace sluice {
namespace {

std::string bytes_text(double bytes) { return format_bytes(std::max(0.0, bytes)); }

}  // namespace

MemoryCheck::MemoryCheck(const Config& config, const Comm& comm, Mode mode, Storage storage, Memory& memory,
                         int64_t most_doublings)
    : config_(config),
      rank_(comm.rank()),
      ranks_(comm.size()),
      most_ranks_(std::min(kMostPlannedRanks, ranks_ << most_doublings)),
      mode_(mode),
      storage_(storage),
      memory_(memory),
      on_host_(&memory == &host_memory()) {
    Config planned = config;
    const int64_t most = kMostPlannedTokens / config.data.sequence_length;
    beyond_plan_ = config.train.micro_batch > most;
    if (beyond_plan_) planned.train.micro_batch = most;
    plan_ = plan_memory(planned, mesh_coord(mesh_shape(config.model, config.parallel), ranks_, rank_), storage, mode);
    bytes_ = double(plan_.total()) + beside(ranks_);
}

Room MemoryCheck::room() const { return memory_.room(local_ranks()); }

double MemoryCheck::beside(int64_t ranks) const {
    if (!on_host_) return double(memory_.beside());
    const bool copies = mode_ == Mode::training && config_.checkpoint.async;
    return copies ? double(checkpoint_bytes(config_.model, config_.optimizer)) / double(ranks) : 0;
}

// ---------------------------------------------------------------- what is said
std::string MemoryCheck::needed() const {
    std::vector<std::pair<double, std::string>> parts{{double(plan_.weights), "weights"},
                                                      {double(plan_.masters), "masters"},
                                                      {double(plan_.moments), "moments"},
                                                      {double(plan_.gradients), "gradients"},
                                                      {double(plan_.activations()), "activations"},
                                                      {double(plan_.buffers), "buffers"},
                                                      {beside(ranks_), on_host_ ? "a checkpoint's copy" : "streams"}};
    std::erase_if(parts, [](const auto& part) { return part.first == 0; });
    std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    std::string list;
    for (const auto& [bytes, name] : parts) list += (list.empty() ? "" : ", ") + name + " " + bytes_text(bytes);
    return (ranks_ > 1 ? "each rank needs " : "it needs ") + std::string(beyond_plan_ ? "more than " : "") +
           bytes_text(bytes_) + " of " + memory_.name() + " (" + list + ")";
}

std::string MemoryCheck::there_is(const Room& room) const {
    const std::string bytes = bytes_text(double(room.free)) + " of " + bytes_text(double(room.total));
    if (on_host_ && local_ranks() > 1)
        return "each of the " + std::to_string(local_ranks()) + " on " + host_name() + " has " + bytes + " free";
    const size_t others = room.total - room.free;  // this rank has next to nothing yet
    const std::string taken = on_host_ || others < room.total / 16
                                  ? ""
                                  : ", as others have " + bytes_text(double(others)) + " (nvidia-smi lists them)";
    if (ranks_ > 1) return "rank " + std::to_string(rank_) + " on " + host_name() + " has " + bytes + " free" + taken;
    return bytes + " are free" + taken;
}

std::optional<std::string> MemoryCheck::settings_within(double bytes) const {
    const auto nearest = nearest_that_fits(config_, ranks_, most_ranks_, storage_, mode_,
                                           [&](int64_t ranks) { return bytes - beside(ranks); });
    if (!nearest) return {};
    std::string text, keys;
    for (const std::string& change : changes_between(config_, nearest->config)) keys += " " + change;
    if (nearest->ranks != ranks_)
        text = " on " + counted(nearest->ranks, "rank") + " that have as much each" + (keys.empty() ? "" : ",");
    return text + (keys.empty() ? "" : " with" + keys);
}

std::string MemoryCheck::nothing_fits() const {
    if (most_ranks_ == ranks_) return "; no setting needs less";
    return "; no micro-batch, recompute, zero or mesh fits, on up to " + counted(most_ranks_, "rank");
}

// ---------------------------------------------------------------- before and after
void MemoryCheck::require() const {
    const Room there = room();
    if (bytes_ > double(there.limit)) {
        const auto settings = settings_within(double(there.free));
        fail(Exit::out_of_memory, "out of memory: " + needed() + ", and " + there_is(there) +
                                      (settings ? "; it fits" + *settings : nothing_fits()));
    }
    if (bytes_ > double(there.free) && rank_ == 0)
        print_warning(needed() + ", and " + there_is(there) + ": the system may end it");
}

void MemoryCheck::allocate(const std::function<void()>& body) const {
    std::string said;
    try {
        return body();
    } catch (const Failure& failure) {
        if (failure.code() != Exit::out_of_memory) throw;
        said = failure.what();
    } catch (const std::bad_alloc&) { said = "out of memory on the host: " + free_memory(); }
    // What was allocated is free again. As the plan had fitted, something else has the rest, perhaps a rank that ends
    // with this one: one can only try.
    auto settings = settings_within(std::min(double(room().free), bytes_ - 1));
    if (!settings) settings = settings_within(bytes_ / 2);
    fail(Exit::out_of_memory, said + (settings ? "; try" + *settings : nothing_fits()));
}

}  // namespace sluice
