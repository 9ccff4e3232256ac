#include "engine/bench.h"
#include "engine/engine.h"
#include "engine/load_model.h"
#include "kernels/capability.h"
#include "model/device_groups.h"
#include "model/with_backend.h"
#include "parallel/collective.h"
#include "plan/gpu.h"
#include "plan/memory_check.h"

namespace sluice {
namespace {

// The model of a checkpoint, if its memory suffices. most_doublings: of the ranks, of which its error may want more.
template <class B>
std::unique_ptr<Model<B>> load_fitting(const Opened& opened, int64_t sequences, Mode mode, Mesh& mesh,
                                       int64_t most_doublings) {
    Config config = opened.config;
    config.train.micro_batch = sequences;
    const MemoryCheck memory(config, mesh.world, mode, B::kStorage, memory_of<B>(), most_doublings);
    memory.require();
    std::unique_ptr<Model<B>> model;
    memory.allocate([&] { model = load_model<B>(opened, sequences, mode, mesh); });
    return model;
}

class BuiltEngine final : public Engine {
    std::string libraries() const override { return sluice::libraries<AnyBackend>(); }
    int cuda() const override { return built_with_cuda<AnyBackend>(); }
    void use_device(int index, bool synchronous) const override { sluice::use_device<AnyBackend>(index, synchronous); }

    void require(const Config& config) const override { require_backend(config); }

    std::string why_no_nccl(Comm& comm) const override { return sluice::why_no_nccl<AnyBackend>(comm); }

    double gemm_rate(const Config& config) const override {
        return with_backend(config,
                            [&]<class B>(B) { return sluice::gemm_rate<B>(matmul_precision(config.train.precision)); });
    }

    Exit train(const Config& config, Comm& comm, const OpenText& open_text) const override {
        return sluice::train(config, comm, open_text);
    }

    int evaluate(const Opened& opened, Comm& comm, const std::vector<std::unique_ptr<ValidationData>>& sets,
                 const EvaluationSpec& spec, const Evaluated& evaluated) const override {
        return with_backend(opened.config, [&]<class B>(B) {
            const ParallelSpec& parallel = opened.config.parallel;
            Mesh mesh(comm, mesh_shape(opened.config.model, parallel), memory_of<B>(),
                      device_groups<B>(comm, parallel));
            std::unique_ptr<Model<B>> model;
            const auto load = [&] {
                model = load_fitting<B>(opened, spec.sequences, Mode::inference, mesh, kMostDoublings);
            };
            if (const int failed = on_all_ranks(comm, load)) return failed;
            for (size_t i = 0; i < sets.size(); i++) evaluated(i, sluice::evaluate(*model, *sets[i], spec));
            return 0;
        });
    }

    int inspect(const Opened& opened, Comm& comm, const InspectedText& text, Inspection& result) const override {
        return with_backend(opened.config, [&]<class B>(B) {
            const ParallelSpec& parallel = opened.config.parallel;
            Mesh mesh(comm, mesh_shape(opened.config.model, parallel), memory_of<B>(),
                      device_groups<B>(comm, parallel));
            std::unique_ptr<Model<B>> model;
            const auto load = [&] {
                model = load_fitting<B>(opened, text.sequences, Mode::inspection, mesh, kMostDoublings);
            };
            if (const int failed = on_all_ranks(comm, load)) return failed;
            result = sluice::inspect(*model, text);
            return 0;
        });
    }

    std::vector<int32_t> generate(const Opened& opened, const std::vector<int32_t>& prompt,
                                  const std::vector<int32_t>& drawn, const Sampling& sampling) const override {
        return with_backend(opened.config, [&]<class B>(B) {
            const auto model = load_fitting<B>(opened, 1, Mode::inference, solo_mesh(memory_of<B>()), 0);
            return sluice::generate(*model, prompt, opened.config.data.sequence_length, drawn, sampling);
        });
    }

    int bench_step(const Config& config, Comm& comm, int steps, const AtStep& at, StepBench& result) const override {
        return with_backend(config, [&]<class B>(B) {
            Bench<B> bench(comm, config);
            if (const int failed = bench.open()) return failed;
            result.peak = comm.size() * peak_rate(device_name<B>(), config.train.precision);
            result.profiled_seconds = bench.step_into(result.profile);
            for (int i = 0; i < steps; i++) {
                at(i);
                result.gemm_rates.push_back(bench.gemm_rate(result.profile));
                result.seconds.push_back(bench.step());
            }
            return 0;
        });
    }

    int bench_kernels(const Config& config, Comm& comm, int steps, const AtStep& at,
                      KernelBench& result) const override {
        return with_backend(config, [&]<class B>(B) {
            Bench<B> bench(comm, config);
            if (const int failed = bench.open()) return failed;
            for (int i = 0; i < steps; i++) {
                at(i);
                bench.step_into(result.profile);
                result.gemm_rates.push_back(bench.gemm_rate(result.profile) / comm.size());
                result.copy_rates.push_back(copy_rate<B>());
            }
            return 0;
        });
    }
};

}  // namespace

const Engine& built_engine() {
    static const BuiltEngine engine;
    return engine;
}

}  // namespace sluice
