// What a backend can do on this machine: what it is built with, the precisions that it multiplies in, and the rates
// that a program is compared with. Each is instantiated for every backend.
#pragma once
#include <functional>
#include <string>

#include "kernels/backend.h"
#include "kernels/profile.h"

namespace sluice {

// Libraries and their versions, "oneDNN 2.6.3, BLIS 0.9.0". Loads those that are loaded only when they are wanted: no
// ordinary run calls it.
template <class B>
std::string libraries();

// The release of CUDA that the backend is built with, 13000 for 13.0, whose driver it needs; 0: it needs none.
template <class B>
int built_with_cuda();
inline std::string cuda_text(int release) {  // "13.0"
    return std::to_string(release / 1000) + "." + std::to_string(release % 1000 / 10);
}

// This thread computes on that device from now on; a CPU is one. synchronous: the host waits for each kernel that it
// queues, so that an error is told of the op that meets it. Errors: Failure(Exit::config) that says what to do,
// Failure(Exit::out_of_memory) where others have all of a device's memory.
template <class B>
void use_device(int index, bool synchronous);

// Errors: Failure(Exit::config) where this machine cannot multiply so, which says what it lacks.
template <class B>
void require_matmul(MatmulPrecision precision);

// What computes, as its maker calls it; an emulated GPU says so.
template <class B>
std::string device_name();

// FLOP/s of one rank on square matrices, on a CPU of 1024 rows, which MFU is counted against: the best of `times` runs,
// without the first unless it is the only one.
template <class B>
double gemm_rate(MatmulPrecision precision, int times = 4);

// FLOP/s of one rank on the GEMMs of a profile: on a CPU each is made again as often as it was called, with nothing
// between them; on a device it is their time in the profile.
template <class B>
double gemm_rate(const Profile& profile);

// Seconds of what `work` queues on the stream: between events before and behind it on a device, of the host's clock on
// a CPU.
template <class B>
double seconds_of(Stream stream, const std::function<void()>& work);

// Bytes a second, read and written, of copying arrays larger than the caches: the best of several.
template <class B>
double copy_rate();

}  // namespace sluice
