#include "kernels/cpu/gemm/blis_gemm.h"

#include <blis.h>

namespace sluice {

void blis_gemm(float* c, const float* a, const float* b, const GemmShape& g, int threads) {
    rntm_t runtime;
    bli_rntm_init_from_global(&runtime);
    bli_rntm_set_num_threads(threads, &runtime);
    float one = 1, beta = g.accumulate ? 1 : 0;
    bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, g.m, g.n, g.k, &one, const_cast<float*>(a),
                 g.transpose_a ? 1 : g.k, g.transpose_a ? g.m : 1, const_cast<float*>(b), g.transpose_b ? 1 : g.n,
                 g.transpose_b ? g.k : 1, &beta, c, g.n, 1, nullptr, &runtime);
}

std::string blis_version() {
    bli_init();  // else BLIS_ARCH_TYPE, where it is set, ends the program
    return std::string(bli_info_get_version_str()) + " " + bli_arch_string(bli_arch_query_id());
}

}  // namespace sluice
