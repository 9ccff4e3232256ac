// NCCL's functions, taken from libnccl.so.2 at run time: engines are not linked to it. The emulator has its stand-in.
#pragma once
#include <string>

#include "kernels/cuda/prim/nccl.h"

namespace sluice {

// X(function) for each that is used.
#define SLUICE_NCCL_FUNCTIONS(X) \
    X(GetVersion)                \
    X(GetUniqueId)               \
    X(GetErrorString)            \
    X(GetLastError)              \
    X(CommInitRankConfig)        \
    X(CommGetAsyncError)         \
    X(CommFinalize)              \
    X(CommDestroy)               \
    X(CommAbort)                 \
    X(GroupStart)                \
    X(GroupEnd)                  \
    X(AllReduce)                 \
    X(ReduceScatter)             \
    X(AllGather)                 \
    X(Reduce)                    \
    X(Broadcast)                 \
    X(Send)                      \
    X(Recv)

struct NcclLibrary {
#define SLUICE_NCCL_MEMBER(name) decltype(&nccl##name) name = nullptr;
    SLUICE_NCCL_FUNCTIONS(SLUICE_NCCL_MEMBER)
#undef SLUICE_NCCL_MEMBER
    std::string why;  // it cannot be used, and what to do; else empty
};

// Loads the library at a path, or of a name that the loader looks for.
NcclLibrary load_nccl(const char* path);
// What a version lacks; or empty.
std::string nccl_too_old(int version);

// The one that this process uses. Loaded once.
const NcclLibrary& nccl_library();

}  // namespace sluice
