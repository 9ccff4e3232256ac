// Matrix products by cuBLASLt, for linear.cu and muon.cu: factors are float or bf16, sums are float. What the library
// cannot be asked for is left to tile_product.cuh.
//
// Of an operation the library has several algorithms, whose sums differ in their order. Training times them where it
// first meets a product, and keeps the choice, as it does on a CPU (kernels/autotune.h). It is looked for, in this
// order, among
//     1. the choices of this process, which begin with those of the checkpoint that a run resumes from;
//     2. the file of this kind of machine, cublaslt-MACHINE.txt in cache_folder(): device, version of the library and
//        bytes of workspace;
//     3. what a timing finds, which then goes to that file.
// Where nothing may be timed, the first algorithm that the library's heuristics name serves.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/bf16.h"
#include "kernels/backend.h"
#include "kernels/stream_bytes.h"

namespace sluice {

enum class Element : uint8_t { fp32, bf16 };
template <class T>
inline constexpr Element kElement = sizeof(T) == 2 ? Element::bf16 : Element::fp32;

// c (m, n) = scale a b^T + base_scale base, as of tile_product.cuh: a is (m, depth) and b (n, depth), each as it is or
// stored transposed. Rows, as they are stored, begin `stride` elements apart.
struct Product {
    struct Factor {
        const void* data;
        int64_t stride;
        bool transposed;
    };
    int64_t m, n, depth;
    Element element, result;  // of factors; of c and base
    Factor a, b;
    void* c;
    const void* base;  // may be c; null: none
    int64_t stride;    // of c and of base
    float scale = 1, base_scale = 1;
};

// The library's handle and workspace of a stream, whose Stream::products points to them. Errors: Failure(Exit::other),
// and Failure(Exit::out_of_memory) where there is no room for the workspace.
void* open_products();
void close_products(void* products);  // when all that was queued is done

// Queues a product that is not empty. False: the library has no algorithm for it, which is said once, or the stream has
// no products; nothing is queued. Where an algorithm is timed, the host waits for the stream, and the product may
// be made several times: in c where it overwrites c; else in the stream's scratch memory, of which the caller needs
// nothing, or in memory that is allocated for it. Errors: Failure(Exit::other) that names the product.
bool multiply_by_library(Stream stream, const Product& product);

}  // namespace sluice
