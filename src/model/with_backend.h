// The backend of this engine that computes a config. Whether a config is valid does not depend on the machine; what the
// machine lacks to compute it is reported here.
#pragma once
#include "base/check.h"
#include "config/specs.h"
#include "kernels/backend.h"
#include "kernels/capability.h"

namespace sluice {

inline MatmulPrecision matmul_precision(Precision precision) {
    return precision == Precision::bf16 ? MatmulPrecision::bf16 : MatmulPrecision::full;
}

// Returns run(B()) of the backend B. Errors: those of require_backend().
template <class F>
auto with_backend(const Config& config, F&& run) {
#ifdef SLUICE_CUDA_ENGINE
    if (config.train.precision == Precision::bf16) return run(Cuda<bf16>());
    return run(Cuda<float>());
#else
    try {
        require_matmul<Cpu<float>>(matmul_precision(config.train.precision));
    } catch (const Failure& f) { fail(f.code(), std::string("train.precision: ") + f.what()); }
    return run(Cpu<float>());
#endif
}

// Errors: Failure(Exit::config).
inline void require_backend(const Config& config) {
    with_backend(config, [](auto) {});
}

}  // namespace sluice
