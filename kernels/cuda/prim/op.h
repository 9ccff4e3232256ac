// How an op of kernels/ops.h queues its kernels. A kernel is a struct: fields are its arguments, operator() its body.
//
//     const Op op(__func__, stream, {{"rows", rows}, {"width", width}}, moved<B>(rows, width, 2));
//     op.launch(RmsNormForward<T>{y, x, width}, {.grid = {rows}, .shared = bytes});
//
// Errors: Failure(Exit::other) that names op, shape and kernel. An error of a kernel that runs shows later, where the
// host waits or queues more: it then names the ops that were queued last, or, where launches are synchronous, its own.
//
// While a profile is taken, events stand before and behind what an op queues, and the profile gets the time between
// them when it ends.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <typeinfo>

#include "kernels/backend.h"
#include "kernels/cuda/prim/runtime.h"
#include "kernels/profile.h"

namespace sluice {

struct Extent {
    const char* name;
    int64_t size;
};

// Blocks along x, up to 2^31 - 1, and along y and z, up to 65535; a grid with a 0 launches nothing. shared: bytes of
// dynamic shared memory.
constexpr int64_t kMostGridX = (int64_t{1} << 31) - 1, kMostGridYZ = 65535;
struct Grid {
    int64_t x = 1, y = 1, z = 1;
};
struct LaunchShape {
    Grid grid{};
    int64_t shared = 0;
};

// Bytes of shared memory that a block may have, static and dynamic: without a word, and from sm_80 on where a launch
// asks for more dynamic memory than that.
constexpr int64_t kSharedWithoutOptIn = int64_t{48} << 10, kMostShared = int64_t{163} << 10;

// The ops that this thread has queued last, for an error that shows later: "; queued last: NAME SHAPE, ...", newest
// first; empty where launches are synchronous.
std::string queued_last();
// Whether the host waits for each kernel of every thread (SLUICE_CUDA_SYNC). Set it while nothing is queued.
void synchronise_launches(bool on);
bool synchronous_launches();

// "rmsnorm_forward rows 3 width 100"
struct OpLabel {
    const char* name = "";
    std::array<Extent, 8> shape{};
    size_t extents = 0;

    std::string text() const;
};

class Op {
 public:
    // work: what profiles compare its time with; of neither FLOPs nor bytes where the host does not know.
    Op(const char* name, Stream stream, std::initializer_list<Extent> shape, const Work& work = {});
    ~Op() {
        if (start_) end_timing();
    }
    Op(const Op&) = delete;
    Op& operator=(const Op&) = delete;

    template <class K>
    void launch(const K& kernel, const LaunchShape& shape) const;  // device.cuh defines it

    // The stream's scratch memory, count elements of X: aligned to 256 bytes, of any content. Calls in one Op follow
    // one another. It is valid for what is queued until the op returns. Failure(Exit::other) where it does not suffice.
    template <class X>
    X* scratch(int64_t count) const {
        return static_cast<X*>(take_scratch(count * int64_t(sizeof(X))));
    }

    // After a library's call that queued work on the stream, as launch() does it for a kernel.
    void queued(const char* call) const;

    std::string text() const { return label_.text(); }

 private:
    // Whether there is anything to run; a Failure where no GPU could run it.
    bool check(const std::type_info& kernel, int threads, const LaunchShape&) const;
    [[noreturn]] void refuse(const std::type_info& kernel, const std::string& why) const;
    // A kernel was queued, or could not be.
    void queued(const std::type_info& kernel, cudaError_t error = cudaSuccess) const;
    cudaError_t remember() const;  // itself as queued; an error where launches are synchronous
    void* take_scratch(int64_t bytes) const;
    void end_timing() const;

    OpLabel label_;
    Stream stream_;
    Work work_;
    cudaEvent_t start_ = nullptr;      // where a profile is taken
    mutable size_t scratch_used_ = 0;  // bytes
};

}  // namespace sluice
