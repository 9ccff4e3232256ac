// Models that train 20 steps on the GPU and on the CPU.
#include <cmath>
#include <cstdio>

#include "base/format.h"
#include "gpu/passes.h"

namespace sluice {
namespace {

constexpr int kSteps = 20;
// Of a loss, by the type that is trained: in parts of the first one.
template <class T>
constexpr double kLossTolerance = std::is_same_v<T, bf16> ? 0.01 : 1e-5;

// The weights of a run on the CPU before its step `step`.
Weights weights_before(const Config& config, int step) {
    Trainer<Cpu<float>> trainer(config, solo_mesh(memory_of<Cpu<float>>()));
    for (int s = 0; s < step; s++) trainer.step(samples_of(config));
    return weights_of(trainer.model());
}

template <class B>
Outcome train(const Config& config) {
    using T = typename B::T;
    const int64_t m = config.train.micro_batch;
    const Difference first = first_difference<B>(config, tokens_of(config, m), {});
    if (first.differs) return {Outcome::fail, "at the initial weights first differs: " + first.text(), {}};
    Trainer<Cpu<float>> cpu(config, solo_mesh(memory_of<Cpu<float>>()));
    Trainer<B> cuda(config, solo_mesh(memory_of<B>()));
    double most = 0, start = 0, last = 0;
    for (int s = 0; s < kSteps; s++) {
        const double want = cpu.step(samples_of(config)).loss;
        last = cuda.step(samples_of(config)).loss;
        if (s == 0) start = want;
        most = std::max(most, std::abs(last - want) / start);
        if (std::abs(last - want) <= kLossTolerance<T> * start) continue;
        const Difference d =
            first_difference<B>(config, tokens_of(config, m, s * config.train.batch), weights_before(config, s));
        return {Outcome::fail,
                "step " + std::to_string(s + 1) + ": loss " + format_fixed(last, 5) + ", CPU " + format_fixed(want, 5) +
                    "; " + (d.differs ? "first differs: " : "its pass agrees, its optimizer may not; most differs: ") +
                    d.text(),
                {{"step", double(s + 1)}, {"loss", last}, {"loss_cpu", want}}};
    }
    char text[64];
    std::snprintf(text, sizeof text, "loss %.4f to %.4f, %.0e off; pass ", start, last, most);
    return {
        Outcome::pass,
        text + first.text(),
        {{"loss_first", start}, {"loss_last", last}, {"loss_difference", most}, {"pass_difference", first.relative}}};
}

template <class B>
Row row(const std::string& name, Keys (*keys)(Sizes)) {
    return {name, [keys](Sizes sizes) { return train<B>(model_config(sizes, keys(sizes))); }};
}

}  // namespace

std::vector<Row> model_rows() {
    const auto dense = [](Sizes) { return kGated; };
    return {row<Cuda<float>>("model.dense.float", dense), row<Cuda<bf16>>("model.dense.bf16", dense),
            row<Cuda<float>>("model.moe.float", experts), row<Cuda<bf16>>("model.moe.bf16", experts)};
}

}  // namespace sluice
