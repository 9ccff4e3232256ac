// The part of cuBLASLt that is used: the toolkit's, or the emulator's stand-in under the same names.
#pragma once
#ifdef SLUICE_EMULATED
#include "kernels/emu/cublaslt.h"
#else
#include <cublasLt.h>
#endif
