// The backend of this engine that computes a config. Whether a config is valid does not depend on the machine; what the
// machine lacks to compute it is reported here.
#pragma once
#include <string>

#include "base/check.h"
#include "config/specs.h"
#include "kernels/backend.h"
#include "kernels/capability.h"

namespace sluice {

// Errors: Failure(Exit::config) where a backend's ops cannot compute a model of such sizes.
template <class B>
void require_sizes(const ModelSpec& model) {
    const auto at_most = [](const char* key, int64_t value, int64_t most) {
        if (value > most)
            fail(Exit::config, std::string(key) + ": " + std::to_string(value) + ": kernels for GPUs take at most " +
                                   std::to_string(most) + ": use fewer, or device: cpu");
    };
    at_most("model.moe.experts", model.moe.experts, B::kMostExperts);
    at_most("model.switch_heads.experts", model.switch_heads.experts, B::kMostSwitchExperts);
}

inline MatmulPrecision matmul_precision(Precision precision) {
    return precision == Precision::bf16 ? MatmulPrecision::bf16 : MatmulPrecision::full;
}

// One of this engine's backends, for what they have in common.
#ifdef SLUICE_CUDA_ENGINE
using AnyBackend = Cuda<float>;
#else
using AnyBackend = Cpu<float>;
#endif

// Returns run(B()) of the backend B. Errors: those of require_backend().
template <class F>
auto with_backend(const Config& config, F&& run) {
#ifdef SLUICE_CUDA_ENGINE
    require_sizes<Cuda<bf16>>(config.model);
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
