// SLUICE_HD stands before a function that the host and a CUDA device may call.
#pragma once
#ifdef __CUDACC__
#define SLUICE_HD __host__ __device__
#else
#define SLUICE_HD
#endif
