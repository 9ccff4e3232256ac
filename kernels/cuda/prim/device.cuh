// The words that kernels are written in, for nvcc and for the emulator (kernels/emu): one source for both.
#pragma once
#ifdef SLUICE_EMULATED
#include "kernels/emu/device.h"
#include "kernels/emu/launch.h"
#else
#include "kernels/cuda/prim/hardware.cuh"
#include "kernels/cuda/prim/launch.cuh"
#endif
#include "kernels/cuda/prim/device_math.cuh"
