// The part of NCCL that is used: its own header, or the emulator's stand-in under the same names.
#pragma once
#ifdef SLUICE_EMULATED
#include "kernels/emu/nccl.h"
#else
#include <nccl.h>
#endif
