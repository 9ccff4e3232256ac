// The memory of a CUDA device. The host's side of every copy is pinned memory of the stream, so that copies neither
// wait for the device nor leave it waiting for the host.
#include "kernels/memory.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/check.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/prim/host.h"
#include "kernels/cuda/prim/op.h"
#include "kernels/cuda/products.h"
#include "kernels/stream_bytes.h"

namespace sluice {
namespace {

constexpr size_t kStaging = size_t{8} << 20;  // bytes of each of two buffers on the way to the device
constexpr size_t kReturns = size_t{4} << 20;  // bytes on the way back
constexpr size_t kAligned = 64;               // bytes: where a copy begins in a buffer

class Pinned {
 public:
    explicit Pinned(size_t bytes) {
        void* p = nullptr;
        const cudaError_t error = cudaMallocHost(&p, bytes);
        if (error == cudaErrorMemoryAllocation) {
            cudaGetLastError();  // forgotten: it is told here
            fail_out_of_memory(bytes, "pinned buffers of copies to and from a device", host_memory());
        }
        cuda_done(error, "pinned memory of the host");
        data_ = static_cast<char*>(p);
    }
    ~Pinned() { cudaFreeHost(data_); }
    Pinned(const Pinned&) = delete;
    Pinned& operator=(const Pinned&) = delete;
    char* data() const { return data_; }

 private:
    char* data_ = nullptr;
};

// What the host gives is copied behind one another into a buffer, until it is full. Then the other one is used, once
// what was copied from it has reached the device.
class Staging {
 public:
    Staging() {
        for (Buffer& buffer : buffers_)
            cuda_done(cudaEventCreateWithFlags(&buffer.sent, cudaEventDisableTiming), "an event");
    }
    ~Staging() {
        for (Buffer& buffer : buffers_) cudaEventDestroy(buffer.sent);
    }
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;

    // Calls waits() each time that it waits for a buffer.
    template <class F>
    void send(cudaStream_t stream, char* to, const char* host, size_t bytes, F waits) {
        while (bytes > 0) {
            if (used_ == kStaging) {
                current_ = 1 - current_;
                used_ = 0;
                if (buffers_[current_].used && cudaEventQuery(buffers_[current_].sent) == cudaErrorNotReady) waits();
                cuda_done(cudaEventSynchronize(buffers_[current_].sent), "a copy to the device");
            }
            Buffer& buffer = buffers_[current_];
            const size_t piece = std::min(bytes, kStaging - used_);
            std::memcpy(buffer.pinned.data() + used_, host, piece);
            cuda_done(cudaMemcpyAsync(to, buffer.pinned.data() + used_, piece, cudaMemcpyHostToDevice, stream),
                      "a copy to the device");
            cuda_done(cudaEventRecord(buffer.sent, stream), "an event");
            buffer.used = true;
            used_ = std::min(kStaging, (used_ + piece + kAligned - 1) / kAligned * kAligned);
            to += piece;
            host += piece;
            bytes -= piece;
        }
    }
    // The stream was waited for.
    void all_sent() {
        used_ = 0;
        for (Buffer& buffer : buffers_) buffer.used = false;
    }

 private:
    struct Buffer {
        Pinned pinned{kStaging};
        cudaEvent_t sent = nullptr;
        bool used = false;  // since the stream was waited for
    };
    std::array<Buffer, 2> buffers_;
    size_t current_ = 0, used_ = 0;  // bytes of the current buffer
};

// What comes back lies in pinned memory until the host has waited. Of what does not fit, to_host itself waits.
class Returns {
 public:
    // Calls waits() each time that it waits for room.
    template <class F>
    void fetch(cudaStream_t stream, char* host, const char* from, size_t bytes, F waits) {
        while (bytes > 0) {
            if (used_ == kReturns) {
                waits();
                arrive(stream);
            }
            const size_t piece = std::min(bytes, kReturns - used_);
            char* const via = pinned_.data() + used_;
            cuda_done(cudaMemcpyAsync(via, from, piece, cudaMemcpyDeviceToHost, stream), "a copy to the host");
            pending_.push_back({host, via, piece});
            used_ = std::min(kReturns, (used_ + piece + kAligned - 1) / kAligned * kAligned);
            host += piece;
            from += piece;
            bytes -= piece;
        }
    }
    // Waits for the stream, and writes to the host's memory what was asked for.
    void arrive(cudaStream_t stream) {
        const cudaError_t error = cudaStreamSynchronize(stream);
        used_ = 0;
        if (error == cudaSuccess)
            for (const Piece& piece : pending_) std::memcpy(piece.host, piece.via, piece.bytes);
        pending_.clear();  // and keeps its room
        cuda_done(error, "the device");
    }

 private:
    struct Piece {
        char* host;
        const char* via;
        size_t bytes;
    };
    Pinned pinned_{kReturns};
    std::vector<Piece> pending_;
    size_t used_ = 0;  // bytes of pinned_
};

struct Buffers {
    Staging to_device;
    Returns to_host;
    int device = 0;  // the stream's
};

class CudaMemory final : public Memory {
    const char* name() const override { return "device memory"; }
    Room room(int) const override {
        Room room;
        cuda_done(cudaMemGetInfo(&room.free, &room.total), "device memory");
        room.limit = room.free;
        return room;
    }
    size_t beside() const override { return kDeviceStreams; }
    void* allocate(size_t bytes) override {
        void* p = nullptr;
        const cudaError_t error = cudaMalloc(&p, std::max(bytes, kAlignment));
        if (error == cudaErrorMemoryAllocation) {
            cudaGetLastError();  // forgotten: the caller says what it means
            return nullptr;
        }
        cuda_done(error, "device memory");
        cuda_done(cudaMemsetAsync(p, 0, bytes, nullptr), "device memory");
        cuda_done(cudaStreamSynchronize(nullptr), "device memory");
        return p;
    }
    void free(void* p) override {
        cudaDeviceSynchronize();  // an error there is of what was queued, and nobody here can be told
        cudaFree(p);
    }
    void zero(Stream stream, void* to, size_t bytes) override {
        if (bytes == 0) return;
        const Op op(__func__, stream, {{"bytes", int64_t(bytes)}}, moved<char>(1, int64_t(bytes), 1));
        cuda_done(cudaMemsetAsync(to, 0, bytes, handle_of(stream)), "zeros");
    }
    void copy(Stream stream, void* to, const void* from, size_t bytes) override {
        if (bytes > 0)
            cuda_done(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, handle_of(stream)), "a copy");
    }
    void to_device(Stream stream, void* to, const void* host, size_t bytes) override {
        if (bytes > 0)
            buffers(stream).to_device.send(handle_of(stream), static_cast<char*>(to), static_cast<const char*>(host),
                                           bytes, [&] { count_wait(); });
    }
    void to_host(Stream stream, void* host, const void* from, size_t bytes) override {
        if (bytes > 0)
            buffers(stream).to_host.fetch(handle_of(stream), static_cast<char*>(host), static_cast<const char*>(from),
                                          bytes, [&] { count_wait(); });
    }
    void drain(Stream stream) override {
        Buffers& of_stream = buffers(stream);
        of_stream.to_host.arrive(handle_of(stream));
        of_stream.to_device.all_sent();
    }

    Stream open_stream() override {
        Stream stream;
        cudaStream_t handle = nullptr;
        cuda_done(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), "a stream");
        stream.handle = handle;
        stream.scratch_bytes = kStreamScratch;
        const cudaError_t error = cudaMalloc(&stream.scratch, kStreamScratch);
        if (error != cudaSuccess) {
            cudaGetLastError();  // forgotten: it is told here
            cudaStreamDestroy(handle);
        }
        if (error == cudaErrorMemoryAllocation) fail_out_of_memory(kStreamScratch, "the ops of a stream", *this);
        cuda_done(error, "device memory");
        try {
            buffers(stream);
            stream.products = open_products();
            stream.attention = new_attention();
        } catch (...) {
            close_stream(stream);
            throw;
        }
        return stream;
    }
    Stream open_copies() override {
        Stream stream;
        cudaStream_t handle = nullptr;
        cuda_done(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), "a stream");
        stream.handle = handle;
        try {
            buffers(stream);
        } catch (...) {
            close_stream(stream);
            throw;
        }
        return stream;
    }
    void close_stream(Stream stream) override {
        cudaDeviceSynchronize();
        {
            const std::lock_guard lock(mutex_);
            buffers_.erase(stream.handle);
        }
        close_products(stream.products);
        close_attention(stream.attention);
        cudaStreamDestroy(handle_of(stream));
        cudaFree(stream.scratch);
    }

    void use_from_this_thread(Stream stream) override { cuda_done(cudaSetDevice(buffers(stream).device), "a GPU"); }

    void* open_event() override {
        cudaEvent_t event = nullptr;
        cuda_done(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "an event");
        return event;
    }
    void close_event(void* event) override { cudaEventDestroy(static_cast<cudaEvent_t>(event)); }
    void record(void* event, Stream stream) override {
        cuda_done(cudaEventRecord(static_cast<cudaEvent_t>(event), handle_of(stream)), "an event");
    }
    void hold_back(Stream stream, void* event) override {
        cuda_done(cudaStreamWaitEvent(handle_of(stream), static_cast<cudaEvent_t>(event), 0), "an event");
    }

    Buffers& buffers(Stream stream) {
        const std::lock_guard lock(mutex_);
        auto& of_stream = buffers_[stream.handle];
        if (!of_stream) {
            of_stream = std::make_unique<Buffers>();
            cuda_done(cudaGetDevice(&of_stream->device), "a GPU");
        }
        return *of_stream;
    }

    std::mutex mutex_;
    std::map<void*, std::unique_ptr<Buffers>> buffers_;  // by the stream's handle
};

Memory& cuda_memory() {
    static CudaMemory* const memory = new CudaMemory;  // outlives what frees memory as the program ends
    return *memory;
}

}  // namespace

template <class B>
Memory& memory_of() {
    return cuda_memory();
}

#define INSTANTIATE(B) template Memory& memory_of<B>();
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
