// What cuBLASLt is told of a product, and the algorithms that it has for it.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda/prim/cublaslt.h"
#include "kernels/cuda/products.h"

namespace sluice {

// The library's objects of a stream.
struct ProductLibrary {
    cublasLtHandle_t handle = nullptr;
    void* workspace = nullptr;  // kProductWorkspace bytes
};

// All of a product that an algorithm is chosen by.
struct ProductKey {
    enum class Into : uint8_t { overwrite, add, base };  // c alone, c in place, c from another matrix
    int64_t m, n, depth, a_stride, b_stride, c_stride;
    bool a_transposed, b_transposed;
    Element element, result;
    Into into;
    int a_alignment, b_alignment, c_alignment;  // bytes: 16, or the largest power of two that divides all pointers
    auto operator<=>(const ProductKey&) const = default;
};
ProductKey key_of(const Product& product);

// "4096x1024x768 nt bf16 fp32 add strides 768 768 1024 aligned 16 16 16": m x n x depth, a and b stored transposed (t)
// or not (n), types of factors and result, how it goes into c, strides and alignments of a, b and c.
std::string to_text(const ProductKey& key);
// That, " = " and the 64 bytes of an algorithm in hexadecimal digits.
std::string to_line(const std::string& key, const cublasLtMatmulAlgo_t& algorithm);
struct ProductChoice {
    std::string key;
    cublasLtMatmulAlgo_t algorithm;
};
std::optional<ProductChoice> parse_choice(const std::string& line);  // null: it is no choice

// Descriptors of an operation. Row by row, a product is c^T = b a^T of matrices column by column: b is the library's A.
class ProductPlan {
 public:
    explicit ProductPlan(const ProductKey& key);

    // Of at most 16 that the heuristics name, the likely fastest first, those that may run: with sums in float, each in
    // one order, in no more workspace than there is.
    std::vector<cublasLtMatmulAlgo_t> candidates(const ProductLibrary& library) const;
    bool may_run(const ProductLibrary& library, const cublasLtMatmulAlgo_t& algorithm) const;

    // c: where the result goes; base: as in Product.
    cublasStatus_t queue(const ProductLibrary& library, cudaStream_t stream, const cublasLtMatmulAlgo_t& algorithm,
                         const Product& product, void* c, const void* base) const;

 private:
    template <class Opaque>
    using Owner = std::unique_ptr<Opaque, cublasStatus_t (*)(Opaque*)>;

    Owner<cublasLtMatmulDescOpaque_t> desc_;
    Owner<cublasLtMatrixLayoutOpaque_t> a_, b_, c_;
    Owner<cublasLtMatmulPreferenceOpaque_t> preference_;
};

}  // namespace sluice
