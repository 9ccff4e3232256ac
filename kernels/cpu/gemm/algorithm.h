// The algorithms of an fp32 GEMM, and one GEMM that can run by any of them.
#pragma once
#include <optional>

#include "base/enum_names.h"
#include "kernels/cpu/gemm/onednn_matmul.h"
#include "kernels/gemm_shape.h"

namespace sluice {

enum class GemmAlgorithm { onednn_matmul, onednn_sgemm, onednn_split_k, blis };
template <>
struct EnumNames<GemmAlgorithm> {  // in cache files and checkpoints
    static constexpr std::pair<const char*, GemmAlgorithm> all[] = {
        {"onednn_matmul", GemmAlgorithm::onednn_matmul},  // a primitive made for the shape
        {"onednn_sgemm", GemmAlgorithm::onednn_sgemm},
        {"onednn_slabs", GemmAlgorithm::onednn_split_k},  // sgemm of one slab of k after another
        {"blis", GemmAlgorithm::blis},
    };
};

class Gemm {
 public:
    Gemm(const GemmShape& shape, int threads) : shape_(shape), threads_(threads) {}

    void run(GemmAlgorithm algorithm, float* c, const float* a, const float* b);

    // The algorithm that autotuning chose before, or chooses now by timing all of them on these operands.
    GemmAlgorithm choose(const float* a, const float* b);

 private:
    bool suits(GemmAlgorithm algorithm) const;
    GemmAlgorithm fastest(const float* a, const float* b);

    GemmShape shape_;
    int threads_;
    std::optional<OnednnMatmul> matmul_;  // made when first run
};

}  // namespace sluice
