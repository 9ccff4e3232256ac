// What the files of the host's side share.
#pragma once
#include <string>

#include "kernels/backend.h"
#include "kernels/cuda/prim/runtime.h"

namespace sluice {

inline cudaStream_t handle_of(Stream stream) { return static_cast<cudaStream_t>(stream.handle); }

// Errors: Failure(Exit::out_of_memory) where there was no memory, else Failure(Exit::other), which names what was asked
// for, and the ops that were queued last, since an error of theirs shows at any call.
void cuda_done(cudaError_t error, const char* what);

// Whether what the stream is given goes into a graph.
bool is_captured(cudaStream_t stream);

// Warns on stderr, once of each kind.
void warn_once(const std::string& kind, const std::string& text);

}  // namespace sluice
