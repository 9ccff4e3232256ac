// Softmax attention by cuDNN, of the shapes that a model prepared; attention.cu makes all other.
//
// Plans of cuDNN take half a second each, and so are made before the first step. Calls are queued without a wait or an
// allocation of device memory, and can be captured.
#pragma once
#include <cstddef>
#include <string>

#include "base/bf16.h"
#include "kernels/cuda/prim/op.h"
#include "kernels/ops.h"

namespace sluice {

// An op of attention; products: of queries and keys that it needs.
Op attention_op(const char* name, Stream, const AttentionShape&, int products);

// What cuDNN keeps of a stream, whose Stream::attention points to it. It is opened at a stream's first plan.
void* new_attention();
void close_attention(void* attention);  // when all that was queued is done

// As prepare_attention(). most: bytes of workspace that a chunk of backward may have.
std::string prepare_library_attention(Stream, const AttentionShape&, const AttentionStrides&, size_t most);

// Queues it by cuDNN. False: the stream has no plan for it, or a pointer is not aligned; nothing is queued. Errors:
// Failure(Exit::other) that names the shape.
bool library_attention_forward(Stream, bf16* out, float* lse, Rows<const bf16> q, Rows<const bf16> k,
                               Rows<const bf16> v, const AttentionShape&);
bool library_attention_backward(Stream, Rows<bf16> dq, Rows<bf16> dk, Rows<bf16> dv, float* delta, std::byte* workspace,
                                const bf16* dout, const bf16* out, const float* lse, Rows<const bf16> q,
                                Rows<const bf16> k, Rows<const bf16> v, const AttentionShape&);

// "9.19"; of the library that is loaded.
std::string cudnn_version();

}  // namespace sluice
