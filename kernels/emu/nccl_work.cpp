#include "kernels/emu/nccl_work.h"

#include <algorithm>
#include <cstring>

#include "base/bf16.h"
#include "base/check.h"
#include "kernels/emu/device_memory.h"
#include "kernels/emu/emu.h"
#include "kernels/emu/touch.h"

namespace sluice::emu {
namespace {

const char* type_name(ncclDataType_t type) {
    switch (type) {
        case ncclInt8:
            return "bytes";
        case ncclInt64:
            return "int64s";
        case ncclFloat32:
            return "floats";
        case ncclFloat64:
            return "doubles";
        case ncclBfloat16:
            return "bf16s";
    }
    return "numbers of another type";
}

bool sums(NcclKind kind) {
    return kind == NcclKind::all_reduce || kind == NcclKind::reduce_scatter || kind == NcclKind::reduce;
}

bool is_device(const void* p, size_t bytes) {
    const Allocation* const allocation = DeviceMemory::get().find(p);
    return allocation && allocation->contains(p, bytes);
}

bool overlap(const void* a, size_t a_bytes, const void* b, size_t b_bytes) {
    const auto* x = static_cast<const char*>(a);
    const auto* y = static_cast<const char*>(b);
    return x < y + b_bytes && y < x + a_bytes;
}

// total (count) in the type, the sum over `terms` in their order; A: what sums are formed in.
template <class T, class A>
void add_up(char* total, const std::vector<const char*>& terms, size_t count) {
    for (size_t i = 0; i < count; i++) {
        A sum{};
        for (size_t r = 0; r < terms.size(); r++) {
            T x;
            std::memcpy(&x, terms[r] + i * sizeof(T), sizeof(T));
            sum = r == 0 ? A(x) : sum + A(x);
        }
        const T rounded = T(sum);
        std::memcpy(total + i * sizeof(T), &rounded, sizeof(T));
    }
}
void add_up(ncclDataType_t type, char* total, const std::vector<const char*>& terms, size_t count) {
    switch (type) {
        case ncclFloat32:
            return add_up<float, float>(total, terms, count);
        case ncclFloat64:
            return add_up<double, double>(total, terms, count);
        case ncclInt64:
            return add_up<int64_t, int64_t>(total, terms, count);
        case ncclBfloat16:
            return add_up<bf16, float>(total, terms, count);
        case ncclInt8:
            break;
    }
    sluice::check(false, "sums of bytes");
}

}  // namespace

size_t nccl_bytes(ncclDataType_t type) {
    switch (type) {
        case ncclInt8:
            return 1;
        case ncclBfloat16:
            return 2;
        case ncclFloat32:
            return 4;
        case ncclInt64:
        case ncclFloat64:
            return 8;
    }
    return 0;
}

const char* nccl_name(NcclKind kind) {
    static constexpr const char* names[] = {"ncclAllReduce", "ncclReduceScatter", "ncclAllGather", "ncclReduce",
                                            "ncclBroadcast", "ncclSend",          "ncclRecv"};
    return names[size_t(kind)];
}

std::string nccl_text(const NcclCall& call) {
    const bool pair = call.kind == NcclKind::send || call.kind == NcclKind::receive;
    return std::string(nccl_name(call.kind)) + " of " + std::to_string(call.count) + " " + type_name(call.type) +
           (call.peer < 0 || pair ? "" : ", root " + std::to_string(call.peer));
}

// In place: the documentation of each function.
std::string nccl_refusal(const NcclCall& c, int rank, int ranks) {
    const size_t item = nccl_bytes(c.type), one = c.count * item, all = one * size_t(ranks);
    const bool pair = c.kind == NcclKind::send || c.kind == NcclKind::receive;
    if (item == 0 || (sums(c.kind) && c.type == ncclInt8)) return "a type that it is not meant for";
    if (c.kind >= NcclKind::reduce && (c.peer < 0 || c.peer >= ranks)) return "no rank " + std::to_string(c.peer);
    if (pair && c.peer == rank) return "a rank that sends to itself";
    const size_t in = c.kind == NcclKind::reduce_scatter ? all : one, out = c.kind == NcclKind::all_gather ? all : one;
    const bool reads = c.kind != NcclKind::receive && (c.kind != NcclKind::broadcast || c.peer == rank);
    const bool writes = c.kind != NcclKind::send && (c.kind != NcclKind::reduce || c.peer == rank);
    if (c.count == 0) return "nothing to do: others may skip it";
    if (reads && !is_device(c.in, in)) return "a send buffer that is " + DeviceMemory::get().describe(c.in, in);
    if (writes && !is_device(c.out, out)) return "a receive buffer that is " + DeviceMemory::get().describe(c.out, out);
    if (!reads || !writes) return "";
    const char* const place = static_cast<const char*>(c.kind == NcclKind::all_gather ? c.out : c.in);
    const size_t slice = in == out ? 0 : size_t(rank) * one;
    const bool in_place = (c.kind == NcclKind::all_gather ? c.in : c.out) == place + slice;
    if (!in_place && overlap(c.in, in, c.out, out)) return "buffers that overlap, and are not in place";
    return "";
}

// ---------------------------------------------------------------- a collective
std::string NcclWork::differs(size_t member, const NcclCall& call) const {
    for (size_t other = 0; other < parts_.size(); other++) {
        const NcclCall& theirs = parts_[other].call;
        if (!parts_[other].asked) continue;
        const bool pair = theirs.kind >= NcclKind::send;
        if ((pair || theirs.kind == call.kind) && theirs.type == call.type && theirs.count == call.count &&
            (pair || theirs.peer == call.peer))
            return "";
        return "rank " + std::to_string(ranks_[member]) + " asks for " + nccl_text(call) + " and rank " +
               std::to_string(ranks_[other]) + " for " + nccl_text(theirs);
    }
    return "";
}

void NcclWork::ask(size_t member, const NcclCall& call) {
    parts_[member].asked = true;
    parts_[member].call = call;
}

void NcclWork::queue(size_t member, StreamQueue& stream, Time held) {
    parts_[member].stream = &stream;
    parts_[member].serial = stream.queued;
    parts_[member].held = held;
}

bool NcclWork::may_happen(StreamQueue*& first) const {
    first = nullptr;
    if (done_ || !dropped_.empty()) return true;
    const auto now = std::chrono::steady_clock::now();
    for (const Part& part : parts_)
        if (!part.stream || part.held > now) return false;
    for (const Part& part : parts_)
        if (part.stream->tasks.empty() || part.stream->tasks.front().serial != part.serial) {
            first = part.stream;
            return false;
        }
    return true;
}

size_t NcclWork::sent(const Part& part) const {
    const NcclCall& c = part.call;
    const size_t one = c.count * nccl_bytes(c.type);
    const bool root = c.kind != NcclKind::broadcast || ranks_[size_t(&part - parts_.data())] == c.peer;
    if (c.kind == NcclKind::receive || !root) return 0;
    return c.kind == NcclKind::reduce_scatter ? one * parts_.size() : one;
}

size_t NcclWork::received(const Part& part) const {
    const NcclCall& c = part.call;
    const size_t one = c.count * nccl_bytes(c.type);
    const bool root = c.kind != NcclKind::reduce || ranks_[size_t(&part - parts_.data())] == c.peer;
    if (c.kind == NcclKind::send || !root) return 0;
    return c.kind == NcclKind::all_gather ? one * parts_.size() : one;
}

void NcclWork::read(Part& part) {
    const size_t bytes = sent(part);
    touch(nccl_name(part.call.kind), part.call.in, bytes, false);
    const auto* const in = static_cast<const char*>(part.call.in);
    part.read.assign(in, in + bytes);
}

void NcclWork::write(size_t member) {
    const NcclCall& c = parts_[member].call;
    const size_t bytes = received(parts_[member]), one = c.count * nccl_bytes(c.type);
    if (bytes == 0) return;
    auto* const out = static_cast<char*>(c.out);
    touch(nccl_name(c.kind), out, bytes, true);
    if (sums(c.kind)) {
        std::vector<const char*> terms;
        for (const Part& part : parts_)
            terms.push_back(part.read.data() + (c.kind == NcclKind::reduce_scatter ? member * one : 0));
        return add_up(c.type, out, terms, c.count);
    }
    size_t at = 0;  // all that was sent, in rank order: of the root alone, of the other, or of all
    for (const Part& part : parts_) {
        if (part.read.empty()) continue;
        std::memcpy(out + at, part.read.data(), part.read.size());
        at += part.read.size();
    }
}

void NcclWork::happen() {
    if (done_) return;
    if (!dropped_.empty()) fail(Exit::other, dropped_);
    for (Part& part : parts_)
        if (sent(part) > 0) Device::get().as(*part.stream, [&] { read(part); });
    for (size_t m = 0; m < parts_.size(); m++) Device::get().as(*parts_[m].stream, [&] { write(m); });
    for (Part& part : parts_) part.read = {};
    done_ = true;
}

std::string NcclWork::text() const {
    std::string asks, missing;
    for (size_t m = 0; m < parts_.size(); m++) {
        if (parts_[m].asked && asks.empty()) asks = nccl_text(parts_[m].call);
        if (!parts_[m].stream) missing += (missing.empty() ? "" : ", ") + std::to_string(ranks_[m]);
    }
    return asks + " on communicator " + communicator_ +
           (missing.empty() ? " stands behind others" : " waits for rank " + missing);
}

// ---------------------------------------------------------------- a group of them
bool NcclLaunch::may_happen(StreamQueue*& first) const {
    first = nullptr;
    if (released_) return true;
    return std::all_of(items_.begin(), items_.end(), [&](const Item& item) { return item.work->may_happen(first); });
}

std::string NcclLaunch::text() const {
    StreamQueue* first = nullptr;
    for (const Item& item : items_)
        if (!item.work->may_happen(first)) return item.work->text();
    return items_.front().work->text();
}

void NcclLaunch::drop(const std::string& why) {
    finished_ = true;
    for (const Item& item : items_)
        if (!item.work->done()) item.work->drop(why);
}

void NcclLaunch::run() {
    finished_ = true;
    if (released_) return;
    for (const Item& item : items_) item.work->happen();
}

void NcclLaunch::release() {
    released_ = true;
    for (const Item& item : items_)
        if (!item.work->done()) item.work->leave(item.member);
}

}  // namespace sluice::emu
