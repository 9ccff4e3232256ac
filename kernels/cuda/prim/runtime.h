// The part of CUDA's runtime that the host's side uses: the toolkit's, or the emulator's under the same names.
#pragma once
#ifdef SLUICE_EMULATED
#include "kernels/emu/runtime.h"
namespace sluice {
constexpr bool kEmulated = true;
}
#else
#include <cuda_runtime.h>
namespace sluice {
constexpr bool kEmulated = false;
}
#endif
