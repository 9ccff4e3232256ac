// What NCCL's stand-in moves: collectives and exchanges of two ranks, put together from what each rank asks for.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/emu/nccl.h"
#include "kernels/emu/queue.h"

namespace sluice::emu {

enum class NcclKind { all_reduce, reduce_scatter, all_gather, reduce, broadcast, send, receive };

// What a rank asks for. count: as the function counts it.
struct NcclCall {
    NcclKind kind;
    const void* in = nullptr;
    void* out = nullptr;
    size_t count = 0;
    ncclDataType_t type = ncclInt8;
    int peer = -1;  // of a send or receive; the root of a reduce or broadcast; else -1
};
size_t nccl_bytes(ncclDataType_t type);  // 0: a type that is not supported
const char* nccl_name(NcclKind kind);
std::string nccl_text(const NcclCall& call);  // "ncclAllReduce of 5 floats"
// Why rank `rank` of `ranks` may not ask for this; or empty.
std::string nccl_refusal(const NcclCall& call, int rank, int ranks);

// One collective, or what one rank sends to another. By member: a rank of the communicator; or 0 sends and 1 receives.
class NcclWork {
 public:
    NcclWork(std::string communicator, std::vector<int> ranks) : communicator_(std::move(communicator)), ranks_(ranks) {
        parts_.resize(ranks_.size());
    }
    bool asked(size_t member) const { return parts_[member].asked; }
    // How a member's call differs from what others have asked for; or empty.
    std::string differs(size_t member, const NcclCall& call) const;
    void ask(size_t member, const NcclCall& call);
    // Its task is queued. held: it does not come about before.
    using Time = std::chrono::steady_clock::time_point;
    void queue(size_t member, StreamQueue& stream, Time held);
    void leave(size_t member) { parts_[member].stream = nullptr; }  // it will take no part

    bool done() const { return done_; }
    bool may_happen(StreamQueue*& first) const;
    void happen();  // throws where memory races, and where a member's task was dropped
    void drop(const std::string& why) {
        if (dropped_.empty()) dropped_ = why;
    }
    std::string text() const;

 private:
    struct Part {
        bool asked = false;
        NcclCall call{};
        StreamQueue* stream = nullptr;  // null: not queued
        uint64_t serial = 0;
        Time held{};
        std::vector<char> read;
    };
    const char* name() const { return nccl_name(parts_[0].call.kind); }
    size_t sent(const Part&) const, received(const Part&) const;  // bytes
    void read(Part&);
    void write(size_t member);

    std::string communicator_, dropped_;
    std::vector<int> ranks_;  // of members, in the communicator
    std::vector<Part> parts_;
    bool done_ = false;
};

// A task of one rank: what it asks for in one group.
class NcclLaunch final : public Meeting {
 public:
    struct Item {
        std::shared_ptr<NcclWork> work;
        size_t member;
    };
    explicit NcclLaunch(std::vector<Item> items) : items_(std::move(items)) {}
    bool may_happen(StreamQueue*& first) const override;
    std::string text() const override;
    void drop(const std::string& why) override;
    void run();
    void release();  // it does nothing, whatever others do
    bool finished() const { return finished_; }
    const std::vector<Item>& items() const { return items_; }

 private:
    std::vector<Item> items_;
    bool released_ = false, finished_ = false;
};

}  // namespace sluice::emu
