#include "engine/bench.h"
#include "engine/engine.h"
#include "engine/load_model.h"
#include "model/with_backend.h"
#include "parallel/collective.h"

namespace sluice {
namespace {

class BuiltEngine final : public Engine {
    void require(const Config& config) const override { require_backend(config); }

    Exit train(const Config& config, Comm& comm, const OpenText& open_text) const override {
        return sluice::train(config, comm, open_text);
    }

    int evaluate(const Opened& opened, Comm& comm, const std::vector<std::unique_ptr<ValidationData>>& sets,
                 const EvaluationSpec& spec, const Evaluated& evaluated) const override {
        return with_backend(opened.config, [&]<class B>(B) {
            Mesh mesh(comm, mesh_shape(opened.config.model, opened.config.parallel), memory_of<B>());
            std::unique_ptr<Model<B>> model;
            if (const int failed = on_all_ranks(comm, [&] { model = load_model<B>(opened, spec.sequences, mesh); }))
                return failed;
            for (size_t i = 0; i < sets.size(); i++) evaluated(i, sluice::evaluate(*model, *sets[i], spec));
            return 0;
        });
    }

    std::vector<int32_t> generate(const Opened& opened, const std::vector<int32_t>& prompt,
                                  const std::vector<int32_t>& drawn, const Sampling& sampling) const override {
        return with_backend(opened.config, [&]<class B>(B) {
            const auto model = load_model<B>(opened, 1, solo_mesh(memory_of<B>()));
            return sluice::generate(*model, prompt, opened.config.data.sequence_length, drawn, sampling);
        });
    }

    StepBench bench_step(const Config& config, Comm& comm, int steps, const AtStep& at) const override {
        return with_backend(config, [&]<class B>(B) {
            StepBench result;
            Bench<B> bench(comm, config);
            result.profiled_seconds = bench.step_into(result.profile);
            for (int i = 0; i < steps; i++) {
                at(i);
                result.gemm_rates.push_back(bench.gemm_rate(result.profile));
                result.seconds.push_back(bench.step());
            }
            return result;
        });
    }

    KernelBench bench_kernels(const Config& config, Comm& comm, int steps, const AtStep& at) const override {
        return with_backend(config, [&]<class B>(B) {
            KernelBench result;
            Bench<B> bench(comm, config);
            for (int i = 0; i < steps; i++) {
                at(i);
                bench.step_into(result.profile);
                result.gemm_rates.push_back(bench.gemm_rate(result.profile) / comm.size());
                result.copy_rates.push_back(copy_rate<B>());
            }
            return result;
        });
    }
};

}  // namespace

const Engine& built_engine() {
    static const BuiltEngine engine;
    return engine;
}

}  // namespace sluice
