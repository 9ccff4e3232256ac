// What a backend can do on this machine: the precisions that it multiplies in, and the rates that a program is compared
// with. Each is instantiated for every backend.
#pragma once
#include <string>

#include "kernels/backend.h"
#include "kernels/profile.h"

namespace sluice {

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

// FLOP/s of one rank on the GEMMs of a profile, each as often as it was called, with nothing between them.
template <class B>
double gemm_rate(const Profile& profile);

// Bytes a second, read and written, of copying arrays larger than the caches: the best of several.
template <class B>
double copy_rate();

}  // namespace sluice
