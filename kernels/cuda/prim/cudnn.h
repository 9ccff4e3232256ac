// The part of cuDNN that is used, its backend API: the library's, or the emulator's stand-in under the same names.
#pragma once
#ifdef SLUICE_EMULATED
#include "kernels/emu/cudnn.h"
#else
#include <cudnn_graph.h>
#endif
