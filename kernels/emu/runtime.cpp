#include "kernels/emu/runtime.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "kernels/emu/device_memory.h"
#include "kernels/emu/emu.h"
#include "kernels/emu/graph.h"
#include "kernels/emu/launch.h"
#include "kernels/emu/machine.h"
#include "kernels/emu/pinned.h"
#include "kernels/emu/queue.h"
#include "kernels/emu/touch.h"

namespace sluice::emu {
namespace {

thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;
thread_local std::string last_failure;

cudaError_t result(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}
// What a call that has waited for a stream or an event returns.
cudaError_t waited(Device& device) {
    std::string failure = device.take_failure();
    if (failure.empty()) return cudaSuccess;
    last_failure = std::move(failure);
    return result(cudaErrorLaunchFailure);
}

cudaError_t wait_for(Device& device, StreamQueue& stream) {
    device.reach(stream, stream.queued);
    device.host_knows(stream.clock);
    return waited(device);
}

// ---------------------------------------------------------------- captures
thread_local std::vector<std::shared_ptr<Capture>> captures;  // of this thread that have not ended

// What a call returns that a captured stream may not be given.
cudaError_t refuse_captured(Capture* capture) {
    capture->invalidate();
    return result(cudaErrorStreamCaptureUnsupported);
}
// A call that this thread may not make while it captures: it allocates, frees, waits, or asks how far work is. The
// runtime's reference, cudaThreadExchangeStreamCaptureMode: a thread with a capture of cudaStreamCaptureModeThreadLocal
// is prohibited from potentially unsafe calls, and captures of other threads are ignored.
bool captures_here() { return !captures.empty(); }
cudaError_t refuse_while_capturing() {
    for (const auto& capture : captures) capture->invalidate();
    return result(cudaErrorStreamCaptureUnsupported);
}

// ---------------------------------------------------------------- tasks
void copy_now(void* to, const void* from, size_t bytes) {
    touch("a copy", from, bytes, false);
    touch("a copy", to, bytes, true);
    std::memcpy(to, from, bytes);
}

// Zeros for much memory are pages that come into being when they are used.
void fill_now(void* p, int byte, size_t bytes) {
    touch("a fill", p, bytes, true);
    constexpr uintptr_t kPage = 4096, kMuch = uintptr_t{1} << 20;
    const auto begin = reinterpret_cast<uintptr_t>(p), end = begin + bytes;
    const uintptr_t first = (begin + kPage - 1) / kPage * kPage, last = end / kPage * kPage;
    if (byte != 0 || bytes < kMuch || madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED) != 0) {
        std::memset(p, byte, bytes);
        return;
    }
    std::memset(p, 0, first - begin);
    std::memset(reinterpret_cast<void*>(last), 0, end - last);
}

std::string hash(const void* p, size_t bytes) {
    sluice::Hash hash;
    hash.add(p, bytes);
    return hash.hex();
}

// The host may not change pinned memory between the call and the copy.
std::function<void()> copy_of_pinned(void* to, const void* from, size_t bytes) {
    if (!options().checks) return [=] { copy_now(to, from, bytes); };
    return [=, before = hash(from, bytes)] {
        if (hash(from, bytes) != before)
            fail(Exit::other, "a copy of " + std::to_string(bytes) +
                                  " bytes from pinned memory: the host wrote to them before it was done: a staging "
                                  "buffer used again too early");
        copy_now(to, from, bytes);
    };
}

std::function<void()> copy_of_pageable(void* to, const void* from, size_t bytes) {
    const auto* begin = static_cast<const char*>(from);
    return [to, staged = std::make_shared<const std::vector<char>>(begin, begin + bytes)] {
        copy_now(to, staged->data(), staged->size());
    };
}

// The runtime's reference, cudaMemcpyAsync: with pointers that do not match the direction, its behaviour is undefined;
// of cudaMemcpyDefault they say the direction. Pinned memory is the host's.
bool matches(cudaMemcpyKind kind, const void* to, const void* from) {
    if (kind == cudaMemcpyDefault) return true;
    const DeviceMemory& memory = DeviceMemory::get();
    return memory.is_device(from) == (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice) &&
           memory.is_device(to) == (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice);
}

bool is_range(const void* p, size_t bytes) {
    const DeviceMemory& memory = DeviceMemory::get();
    if (!memory.is_device(p)) return true;
    const Allocation* allocation = memory.find(p);
    return allocation && allocation->contains(p, bytes);
}

}  // namespace

void queue(void* handle, Launch launch) {
    Device& device = Device::get();
    const auto lock = device.lock();
    StreamQueue& stream = device.of(static_cast<StreamQueue*>(handle));
    const std::type_info* kernel = launch.kernel;
    if (options().blocks == Blocks::none) return;
    device.queue(
        stream, [launch = std::move(launch)] { Machine::of_this_thread().run(launch); }, kernel);
}

}  // namespace sluice::emu

using namespace sluice::emu;

// ---------------------------------------------------------------- memory
static std::atomic<int64_t> allocations_so_far{0};
int64_t sluice::emu::allocations() { return allocations_so_far; }

cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= options().devices) return result(cudaErrorInvalidDevice);
    if (options().taken_bytes >= DeviceMemory::get().total()) return result(cudaErrorMemoryAllocation);
    current_device = device;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
    *device = current_device;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void** p, size_t bytes) {
    if (captures_here()) return refuse_while_capturing();
    allocations_so_far++;
    const auto lock = Device::get().lock();
    DeviceMemory& memory = DeviceMemory::get();
    void* const allocated = memory.allocate(bytes);
    if (!allocated) return result(cudaErrorMemoryAllocation);
    constexpr size_t kPoisoned = size_t{1} << 20;  // more would take time, and pages of what is never used
    if (bytes <= kPoisoned) {
        const DeviceMemory::Open open;
        std::memset(allocated, kPoison, bytes);
    }
    *p = allocated;
    return cudaSuccess;
}

cudaError_t cudaFree(void* p) {
    if (!p) return cudaSuccess;
    if (captures_here()) return refuse_while_capturing();
    Device& device = Device::get();
    const auto lock = device.lock();
    device.reach_all();
    return DeviceMemory::get().free(p) ? cudaSuccess : result(cudaErrorInvalidValue);
}

cudaError_t cudaMallocHost(void** p, size_t bytes) {
    if (captures_here()) return refuse_while_capturing();
    allocations_so_far++;
    const auto lock = Device::get().lock();
    void* const allocated = allocate_pinned(bytes);
    if (!allocated) return result(cudaErrorMemoryAllocation);
    *p = allocated;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void* p) {
    if (!p) return cudaSuccess;
    if (captures_here()) return refuse_while_capturing();
    Device& device = Device::get();
    const auto lock = device.lock();
    device.reach_all();
    return free_pinned(p) ? cudaSuccess : result(cudaErrorInvalidValue);
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    const auto lock = Device::get().lock();
    const DeviceMemory& memory = DeviceMemory::get();
    *total = memory.total();
    *free = *total - std::min(*total, memory.used() + options().taken_bytes);
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    if (device < 0 || device >= options().devices) return result(cudaErrorInvalidDevice);
    *properties = {"an emulated GPU"};
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t handle) {
    Device& device = Device::get();
    const auto lock = device.lock();
    if (!device.is_stream(handle)) return result(cudaErrorInvalidResourceHandle);
    if (bytes == 0) return cudaSuccess;
    if (!matches(kind, to, from) || !is_range(to, bytes) || !is_range(from, bytes))
        return result(cudaErrorInvalidValue);
    StreamQueue& stream = device.of(handle);
    const DeviceMemory& memory = DeviceMemory::get();
    // A graph would copy what then lies there: what Sluice copies to and from the host differs from launch to launch.
    if (stream.capture && !(memory.is_device(from) && memory.is_device(to))) return refuse_captured(stream.capture);
    if (memory.is_device(from))
        device.queue(stream, [=] { copy_now(to, from, bytes); });
    else if (is_pinned(from))
        device.queue(stream, copy_of_pinned(to, from, bytes));
    else
        device.queue(stream, copy_of_pageable(to, from, bytes));
    return memory.is_device(to) || is_pinned(to) ? cudaSuccess : wait_for(device, stream);
}

cudaError_t cudaMemsetAsync(void* p, int byte, size_t bytes, cudaStream_t handle) {
    Device& device = Device::get();
    const auto lock = device.lock();
    if (!device.is_stream(handle)) return result(cudaErrorInvalidResourceHandle);
    if (bytes == 0) return cudaSuccess;
    if (!DeviceMemory::get().is_device(p) || !is_range(p, bytes)) return result(cudaErrorInvalidValue);
    device.queue(device.of(handle), [=] { fill_now(p, byte, bytes); });
    return cudaSuccess;
}

// ---------------------------------------------------------------- streams
// A stream that waits for an event of a capture is captured from then on.
static cudaError_t wait_for_captured(StreamQueue& waiting, const CapturedMark& mark) {
    const auto capture =
        std::find_if(captures.begin(), captures.end(), [&](const auto& c) { return c.get() == mark.capture; });
    if (capture == captures.end()) return result(cudaErrorInvalidValue);  // it has ended, or is another thread's
    if (waiting.capture && waiting.capture != capture->get()) {
        for (Capture* both : {waiting.capture, capture->get()}) both->invalidate();
        return result(cudaErrorStreamCaptureMerge);
    }
    (*capture)->wait(waiting, mark);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
    const auto lock = Device::get().lock();
    if (flags != cudaStreamNonBlocking) return result(cudaErrorInvalidValue);
    *stream = Device::get().open();
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    Device& device = Device::get();
    const auto lock = device.lock();
    if (!stream || !device.is_stream(stream)) return result(cudaErrorInvalidResourceHandle);
    if (stream->capture) return refuse_captured(stream->capture);
    device.close(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
    Device& device = Device::get();
    const auto lock = device.lock();
    if (!device.is_stream(handle)) return result(cudaErrorInvalidResourceHandle);
    StreamQueue& stream = device.of(handle);
    if (stream.capture) return refuse_captured(stream.capture);
    if (captures_here()) return refuse_while_capturing();
    return wait_for(device, stream);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    Device& device = Device::get();
    const auto lock = device.lock();
    if (!device.is_stream(stream)) return result(cudaErrorInvalidResourceHandle);
    StreamQueue& waiting = device.of(stream);
    if (event->captured) return wait_for_captured(waiting, *event->captured);
    if (!event->mark) return cudaSuccess;
    if (waiting.capture) {  // a graph cannot wait for what is outside
        waiting.capture->invalidate();
        return result(cudaErrorStreamCaptureIsolation);
    }
    device.queue_wait(waiting, event->mark);
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
    if (captures_here()) return refuse_while_capturing();
    Device& device = Device::get();
    const auto lock = device.lock();
    device.reach_all();
    return cudaSuccess;
}

// ---------------------------------------------------------------- graphs
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    Device& device = Device::get();
    const auto lock = device.lock();
    if (!device.is_stream(stream)) return result(cudaErrorInvalidResourceHandle);
    if (!stream) return result(cudaErrorStreamCaptureUnsupported);  // the default stream
    if (stream->capture) return result(cudaErrorInvalidValue);
    captures.push_back(std::make_shared<Capture>(*stream));
    stream->capture = captures.back().get();
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
    Device& device = Device::get();
    const auto lock = device.lock();
    if (!device.is_stream(stream)) return result(cudaErrorInvalidResourceHandle);
    const Capture* const capture = device.of(stream).capture;
    *status = !capture           ? cudaStreamCaptureStatusNone
              : capture->valid() ? cudaStreamCaptureStatusActive
                                 : cudaStreamCaptureStatusInvalidated;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    Device& device = Device::get();
    const auto lock = device.lock();
    *graph = nullptr;
    if (!stream || !device.is_stream(stream)) return result(cudaErrorInvalidResourceHandle);
    if (!stream->capture || !stream->capture->began_on(*stream)) return result(cudaErrorStreamCaptureUnmatched);
    const auto mine = std::find_if(captures.begin(), captures.end(),
                                   [&](const auto& capture) { return capture.get() == stream->capture; });
    if (mine == captures.end()) return result(cudaErrorStreamCaptureWrongThread);
    const std::shared_ptr<Capture> capture = *mine;
    captures.erase(mine);
    capture->end();
    if (!capture->valid()) return result(cudaErrorStreamCaptureInvalidated);
    if (!capture->joined()) return result(cudaErrorStreamCaptureUnjoined);
    *graph = new Graph{capture};
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long flags) {
    const auto lock = Device::get().lock();
    if (!graph || flags != 0) return result(cudaErrorInvalidValue);
    *exec = new GraphExec(*graph);
    return cudaSuccess;
}

static std::atomic<int64_t> graph_launches_so_far{0};
int64_t sluice::emu::graph_launches() { return graph_launches_so_far; }

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    Device& device = Device::get();
    const auto lock = device.lock();
    if (!exec) return result(cudaErrorInvalidValue);
    if (!device.is_stream(stream)) return result(cudaErrorInvalidResourceHandle);
    if (device.of(stream).capture) return refuse_captured(stream->capture);
    exec->launch(device.of(stream));
    graph_launches_so_far++;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    const auto lock = Device::get().lock();
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    const auto lock = Device::get().lock();
    delete exec;
    return cudaSuccess;
}

// ---------------------------------------------------------------- events
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
    if (flags != cudaEventDefault && flags != cudaEventDisableTiming) return result(cudaErrorInvalidValue);
    *event = new Event{.timed = flags == cudaEventDefault, .mark = {}, .captured = {}};
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    Device& device = Device::get();
    const auto lock = device.lock();
    if (!device.is_stream(stream)) return result(cudaErrorInvalidResourceHandle);
    StreamQueue& recorded = device.of(stream);
    event->mark = recorded.capture ? nullptr : device.record(recorded);
    event->captured = recorded.capture ? recorded.capture->record(recorded) : nullptr;
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    Device& device = Device::get();
    const auto lock = device.lock();
    if (event->captured) return result(cudaErrorCapturedEvent);
    if (captures_here()) return refuse_while_capturing();
    const Mark* const mark = event->mark.get();
    const bool pending = mark && device.is_stream(mark->stream) && !mark->stream->reached(mark->serial);
    if (mark && device.is_stream(mark->stream) && !mark->stream->is_here())  // another thread's: it is only looked at
        return pending ? cudaErrorNotReady : cudaSuccess;
    if (pending) {
        device.step(*mark->stream);
        return cudaErrorNotReady;
    }
    if (mark) device.host_knows(mark->clock);
    return waited(device);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    Device& device = Device::get();
    const auto lock = device.lock();
    if (event->captured) return result(cudaErrorCapturedEvent);
    if (captures_here()) return refuse_while_capturing();
    const Mark* const mark = event->mark.get();
    if (!mark) return cudaSuccess;
    if (device.is_stream(mark->stream)) device.reach(*mark->stream, mark->serial);
    device.host_knows(mark->clock);
    return waited(device);
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
    Device& device = Device::get();
    const auto lock = device.lock();
    for (const Event* event : {start, end})
        if (!event->timed || !event->mark) return result(cudaErrorInvalidResourceHandle);
    for (const Event* event : {start, end}) {
        const Mark& mark = *event->mark;
        if (device.is_stream(mark.stream) && !mark.stream->reached(mark.serial)) return result(cudaErrorNotReady);
    }
    *milliseconds = float(end->mark->milliseconds - start->mark->milliseconds);
    return cudaSuccess;
}

// ---------------------------------------------------------------- errors
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }

const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
        case cudaSuccess:
            return "no error";
        case cudaErrorInvalidValue:
            return "invalid argument";
        case cudaErrorMemoryAllocation:
            return "out of memory";
        case cudaErrorDevicesUnavailable:
            return "device busy or unavailable";
        case cudaErrorInvalidDevice:
            return "invalid device ordinal";
        case cudaErrorInvalidResourceHandle:
            return "invalid resource handle";
        case cudaErrorNotReady:
            return "device not ready";
        case cudaErrorLaunchFailure:
            return last_failure.c_str();
        case cudaErrorStreamCaptureUnsupported:
            return "operation not permitted when stream is capturing";
        case cudaErrorStreamCaptureInvalidated:
            return "operation failed due to a previous error during capture";
        case cudaErrorStreamCaptureMerge:
            return "operation would result in a merge of separate capture sequences";
        case cudaErrorStreamCaptureUnmatched:
            return "capture was not ended in the same stream as it began";
        case cudaErrorStreamCaptureUnjoined:
            return "capturing stream has unjoined work";
        case cudaErrorStreamCaptureIsolation:
            return "dependency created on uncaptured work in another stream";
        case cudaErrorCapturedEvent:
            return "operation not permitted on an event last recorded in a capturing stream";
        case cudaErrorStreamCaptureWrongThread:
            return "attempt to terminate a thread-local capture sequence from another thread";
    }
    return "unknown error";
}
