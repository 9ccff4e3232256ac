// A backend's memory. Above kernels/ nothing follows a pointer into it: the host copies in what it has, and copies out
// what it wants to see.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/backend.h"

namespace sluice {

constexpr size_t kAlignment = 64;  // bytes: a cache line, and the widest vector

// The bytes that one rank may allocate of a memory: in all, and now; and what is sure to fail beyond: a device refuses
// more than is free, a host only what it can never have.
struct Room {
    size_t total = 0, free = 0, limit = 0;
};

class Memory {
 public:
    virtual ~Memory() = default;

    virtual const char* name() const = 0;  // "memory", "device memory"
    // For each of `ranks` ranks of this machine that need the same: the host's memory is all of theirs, a device's one
    // rank's.
    virtual Room room(int ranks) const = 0;
    // Bytes that a run takes beside the arenas that plans count: streams, lists, measurements, what allocations round.
    virtual size_t beside() const = 0;

    // `bytes` bytes, aligned to kAlignment, which are zero when it returns; null where there are not so many.
    virtual void* allocate(size_t bytes) = 0;
    virtual void free(void* p) = 0;  // when all that was queued is done

    // Each is done in the stream's order; copy is within this memory. to_device reads `host` before it returns; to_host
    // has written it when the host has waited. Of much at once a device's buffers of copies are soon full: then they
    // wait.
    virtual void zero(Stream, void* to, size_t bytes) = 0;
    virtual void copy(Stream, void* to, const void* from, size_t bytes) = 0;
    virtual void to_device(Stream, void* to, const void* host, size_t bytes) = 0;
    virtual void to_host(Stream, void* host, const void* from, size_t bytes) = 0;

    // A queue of ops with scratch memory of its own. Errors: Failure(Exit::out_of_memory).
    virtual Stream open_stream() = 0;
    virtual void close_stream(Stream) = 0;  // when all that was queued is done

    // Below: for memories whose copies run beside the host. Where they are done when a call returns, there is nothing
    // to do.
    //
    // A queue for copies alone, which run beside the ops of other streams. close_stream() closes it.
    virtual Stream open_copies() { return {}; }
    // A thread that did not open the stream calls this before it uses it.
    virtual void use_from_this_thread(Stream) {}
    // Events: points of a stream that others can wait for. One that was never recorded is waited for by none.
    virtual void* open_event() { return nullptr; }
    virtual void close_event(void*) {}
    virtual void record(void*, Stream) {}
    virtual void hold_back(Stream, void*) {}  // what is queued from here on, until the event is reached

    // Returns when all that was queued on the stream is done.
    void wait(Stream stream) {
        count_wait();
        drain(stream);
    }
    // So far, of all streams; with those for room in the buffers of copies.
    int64_t waits() const { return waits_; }

 protected:
    void count_wait() { waits_++; }

 private:
    virtual void drain(Stream) = 0;
    std::atomic<int64_t> waits_{0};
};

// The host's own memory, which is a CPU's too.
Memory& host_memory();

// Throws Failure(Exit::out_of_memory): so many bytes `for_what` could not be had.
[[noreturn]] void fail_out_of_memory(size_t bytes, const std::string& for_what, const Memory& memory);

// The memory that the tensors of a backend lie in.
template <class B>
Memory& memory_of();

// Owns a stream of a backend.
template <class B>
class StreamOwner {
 public:
    explicit StreamOwner(MatmulPrecision matmul = MatmulPrecision::full) : stream_(memory_of<B>().open_stream()) {
        stream_.matmul = matmul;
    }
    ~StreamOwner() { memory_of<B>().close_stream(stream_); }
    StreamOwner(const StreamOwner&) = delete;
    StreamOwner& operator=(const StreamOwner&) = delete;
    Stream get() const { return stream_; }

 private:
    Stream stream_;
};

// Owns a stream for copies.
class CopyStream {
 public:
    explicit CopyStream(Memory& memory) : memory_(memory), stream_(memory.open_copies()) {}
    ~CopyStream() { memory_.close_stream(stream_); }
    CopyStream(const CopyStream&) = delete;
    CopyStream& operator=(const CopyStream&) = delete;
    Stream get() const { return stream_; }

 private:
    Memory& memory_;
    Stream stream_;
};

// Owns an event.
class StreamEvent {
 public:
    explicit StreamEvent(Memory& memory) : memory_(memory), event_(memory.open_event()) {}
    ~StreamEvent() { memory_.close_event(event_); }
    StreamEvent(const StreamEvent&) = delete;
    StreamEvent& operator=(const StreamEvent&) = delete;
    void record(Stream stream) { memory_.record(event_, stream); }
    void hold_back(Stream stream) { memory_.hold_back(stream, event_); }

 private:
    Memory& memory_;
    void* event_;
};

// x (count) = 0.
template <class B, class X>
void zero(Stream stream, X* x, int64_t count) {
    memory_of<B>().zero(stream, x, size_t(count) * sizeof(X));
}

}  // namespace sluice
