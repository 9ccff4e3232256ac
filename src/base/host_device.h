// SLUICE_HD stands before a function that the host and a CUDA device may call. It may be included again: some headers
// define the word for themselves.
#undef SLUICE_HD
#ifdef __CUDACC__
#define SLUICE_HD __host__ __device__
#else
#define SLUICE_HD
#endif
