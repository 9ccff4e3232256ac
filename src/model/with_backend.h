// The backend that computes a config, chosen in one place. Whether a config is valid does not depend on the machine;
// what this build or this machine lacks to compute it is reported here.
#pragma once
#include "base/check.h"
#include "config/specs.h"
#include "kernels/backend.h"
#include "kernels/capability.h"

namespace sluice {

inline MatmulPrecision matmul_precision(Precision precision) {
    return precision == Precision::bf16 ? MatmulPrecision::bf16 : MatmulPrecision::full;
}

// Errors: Failure(Exit::config).
inline void require_backend(const Config& config) {
    if (config.device == Device::cuda) fail(Exit::config, "device: this build has no CUDA backend: use cpu or auto");
    try {
        require_matmul<Cpu<float>>(matmul_precision(config.train.precision));
    } catch (const Failure& f) { fail(f.code(), std::string("train.precision: ") + f.what()); }
}

// Returns run(B()) of the backend B. Errors: those of require_backend().
template <class F>
auto with_backend(const Config& config, F&& run) {
    require_backend(config);
    return run(Cpu<float>());
}

}  // namespace sluice
