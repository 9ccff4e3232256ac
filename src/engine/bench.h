// Training steps on synthetic tokens, to be measured.
#pragma once
#include <algorithm>
#include <optional>

#include "base/rng.h"
#include "kernels/capability.h"
#include "kernels/profile.h"
#include "model/device_groups.h"
#include "parallel/collective.h"
#include "plan/memory_check.h"
#include "train/step.h"

namespace sluice {

template <class B>
class Bench {
 public:
    Bench(Comm& comm, const Config& config)
        : comm_(comm),
          config_(config),
          mesh_(comm, mesh_shape(config.model, config.parallel), memory_of<B>(),
                device_groups<B>(comm, config.parallel)) {
        config_.checkpoint.async = false;  // it writes none, and needs no memory to copy what it would write
    }

    // Collective, and first. Returns an exit code; an error is printed by one rank.
    int open() {
        const int failed = on_all_ranks(comm_, [&] {
            const MemoryCheck memory(config_, comm_, Mode::training, B::kStorage, memory_of<B>());
            memory.require();
            memory.allocate([&] { trainer_.emplace(config_, mesh_); });
        });
        for (int i = 0; i < kWarmUp && !failed; i++) step();
        return failed;
    }

    // Takes a step; returns its seconds, of which a device counts its own.
    double step() {
        const auto random_tokens = [&](int64_t sample, int32_t* tokens, int32_t* doc_start) {
            if (doc_start) std::fill_n(doc_start, config_.data.sequence_length, 0);
            for (int64_t t = 0; t <= config_.data.sequence_length; t++)
                tokens[t] = int32_t(mix(uint64_t(sample), uint64_t(t)) % uint64_t(config_.model.vocab));
        };
        comm_.barrier();
        return seconds_of<B>(trainer_->model().stream(), [&] { trainer_->step(random_tokens); });
    }
    // The same, and adds each op's time to a profile.
    double step_into(Profile& profile) {
        profile_into(&profile);
        const double seconds = step();
        profile_into(nullptr);
        return seconds;
    }
    // FLOP/s of all ranks together when each runs only the GEMMs of its profile.
    double gemm_rate(const Profile& profile) {
        comm_.barrier();
        return sluice::gemm_rate<B>(profile) * comm_.size();
    }

 private:
    // Steps in which libraries choose algorithms, buffers get their sizes, and a device's launches are captured.
    static constexpr int kWarmUp = B::kBatches > 0 ? 3 : 1;

    Comm& comm_;
    Config config_;
    Mesh mesh_;
    std::optional<Trainer<B>> trainer_;
};

}  // namespace sluice
