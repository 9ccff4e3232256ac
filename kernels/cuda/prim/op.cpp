#include "kernels/cuda/prim/op.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/check.h"
#include "kernels/cuda/prim/host.h"
#include "kernels/cuda/prim/kernel_name.h"

namespace sluice {
namespace {

constexpr size_t kScratchAlignment = 256;  // bytes
constexpr size_t kRemembered = 6;          // ops

bool synchronous = false;

// What a thread queued last, as a ring: the newest stands before `next`.
struct Queued {
    std::array<std::optional<OpLabel>, kRemembered> ops;
    size_t next = 0;
};
thread_local Queued last;

// ---------------------------------------------------------------- profiles
struct Timing {
    const char* op;
    Work work;
    cudaEvent_t start, end;
};
thread_local std::vector<Timing> timings;  // of this thread's ops since its profile began

// Null where that fails: the next call tells the error.
cudaEvent_t record(Stream stream) {
    cudaEvent_t event = nullptr;
    if (cudaEventCreateWithFlags(&event, cudaEventDefault) != cudaSuccess) return nullptr;
    if (cudaEventRecord(event, handle_of(stream)) == cudaSuccess) return event;
    cudaEventDestroy(event);
    return nullptr;
}

// Waits for the ops, and adds their times.
void resolve(Profile& profile) {
    for (const Timing& timing : timings) {
        float milliseconds = 0;
        cuda_done(cudaEventSynchronize(timing.end), "timing ops");
        cuda_done(cudaEventElapsedTime(&milliseconds, timing.start, timing.end), "timing ops");
        profile.add(timing.op, timing.work, 1e-3 * double(milliseconds));
        cudaEventDestroy(timing.start);
        cudaEventDestroy(timing.end);
    }
    timings.clear();
}
const bool resolves = resolve_profiles_by(resolve);

}  // namespace

void synchronise_launches(bool on) { synchronous = on; }
bool synchronous_launches() { return synchronous; }

std::string queued_last() {
    std::string text;
    for (size_t i = 1; i <= kRemembered && !synchronous; i++)
        if (const auto& op = last.ops[(last.next + kRemembered - i) % kRemembered])
            text += (text.empty() ? "; queued last: " : ", ") + op->text();
    return text;
}

std::string OpLabel::text() const {
    std::string text = name;
    for (size_t i = 0; i < extents; i++) text += std::string(" ") + shape[i].name + " " + std::to_string(shape[i].size);
    return text;
}

Op::Op(const char* name, Stream stream, std::initializer_list<Extent> shape, const Work& work)
    : label_{name, {}, shape.size()}, stream_(stream), work_(work) {
    sluice::check(shape.size() <= label_.shape.size(), "an op's shape has too many extents");
    std::copy(shape.begin(), shape.end(), label_.shape.begin());
    if (profiling()) start_ = record(stream_);
}

void Op::end_timing() const {
    if (const cudaEvent_t end = record(stream_))
        timings.push_back({label_.name, work_, start_, end});
    else
        cudaEventDestroy(start_);
}

void Op::refuse(const std::type_info& kernel, const std::string& why) const {
    fail(Exit::other, text() + ": " + kernel_name(kernel) + ": " + why);
}

void Op::queued(const std::type_info& kernel, cudaError_t error) const {
    const std::string before = error == cudaSuccess ? "" : queued_last();  // one of them may have met the error
    if (error == cudaSuccess) error = remember();
    if (error != cudaSuccess) refuse(kernel, cudaGetErrorString(error) + before);
}

void Op::queued(const char* call) const {
    const cudaError_t error = remember();
    if (error != cudaSuccess) fail(Exit::other, text() + ": " + call + ": " + cudaGetErrorString(error));
}

cudaError_t Op::remember() const {
    last.ops[last.next] = label_;
    last.next = (last.next + 1) % kRemembered;
    return synchronous ? cudaStreamSynchronize(handle_of(stream_)) : cudaSuccess;
}

bool Op::check(const std::type_info& kernel, int threads, const LaunchShape& shape) const {
    const auto [x, y, z] = shape.grid;
    if (x == 0 || y == 0 || z == 0) return false;
    if (threads < 32 || threads > 1024 || threads % 32 != 0)
        refuse(kernel, std::to_string(threads) + " threads a block: must be a multiple of 32, at most 1024");
    if (x < 0 || y < 0 || z < 0 || x > kMostGridX || y > kMostGridYZ || z > kMostGridYZ)
        refuse(kernel, "a grid of " + std::to_string(x) + " x " + std::to_string(y) + " x " + std::to_string(z) +
                           " blocks: at most 2147483647 x 65535 x 65535");
    if (shape.shared < 0 || shape.shared > kMostShared)
        refuse(kernel, std::to_string(shape.shared) + " bytes of dynamic shared memory: at most " +
                           std::to_string(kMostShared));
    return true;
}

void* Op::take_scratch(int64_t bytes) const {
    const size_t begin = (scratch_used_ + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
    if (bytes < 0 || begin > stream_.scratch_bytes || size_t(bytes) > stream_.scratch_bytes - begin)
        fail(Exit::other, text() + ": needs " + std::to_string(begin + size_t(bytes)) +
                              " bytes of scratch memory; its stream has " + std::to_string(stream_.scratch_bytes));
    scratch_used_ = begin + size_t(bytes);
    void* const taken = static_cast<char*>(stream_.scratch) + begin;
    if (kEmulated && bytes > 0)  // NaN: an op may not read what the one before it left
        cudaMemsetAsync(taken, 0xff, size_t(bytes), handle_of(stream_));
    return taken;
}

}  // namespace sluice
