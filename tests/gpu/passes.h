// A pass over one batch on a backend and on Cpu<double>, from the same weights.
#pragma once
#include "gpu/compare.h"
#include "gpu/small_model.h"
#include "kernels/autotune.h"

namespace sluice {

// Whole tensors, by their index in Model::tensors(); empty: as they are initialised.
using Weights = std::vector<std::vector<float>>;

template <class B>
Weights weights_of(const Model<B>& model) {
    Weights all;
    for (const TensorInfo& t : model.tensors()) {
        all.emplace_back(size_t(t.count));
        Memory& memory = memory_of<B>();
        const void* const from = t.trained() ? static_cast<const void*>(model.weights() + t.offset)
                                             : static_cast<const void*>(model.untrained() + t.offset);
        memory.to_host(model.stream(), all.back().data(), from, all.back().size() * sizeof(float));
        memory.wait(model.stream());
    }
    return all;
}

struct Passes {
    Seen activations, gradients;
};
// T: what weights are rounded to, that of the backend under test.
template <class B, class T>
Passes passes(const Config& config, const Tokens& t, const Weights& weights) {
    Model<B> model(config.model, t.batch, Recompute::none, Mode::training);
    model.initialise(config.run.seed);
    Weights same = weights;
    if (same.empty()) {
        Model<Cpu<float>> initial(config.model, {1, 1}, Recompute::none, Mode::inference);
        initial.initialise(config.run.seed);
        same = weights_of(initial);
    }
    for (size_t i = 0; i < model.tensors().size(); i++) {
        std::vector<typename B::A> values;
        for (const float x : same[i]) values.push_back(model.tensors()[i].trained() ? float(T(x)) : x);
        model.set(model.tensors()[i], values.data());
    }
    Passes seen;
    model.reset_totals();
    model.forward(t.batch, t.tokens.data(), t.targets.data(), nullptr);
    seen.activations = activations_of(model, t.batch);
    model.reset_totals();
    model.forward_backward(t.batch, t.tokens.data(), t.targets.data(), nullptr, 1 / double(t.batch.tokens()));
    seen.gradients = gradients_of(model);
    return seen;
}

// Where passes differ first, or most: forward, and where that does not differ, backward.
template <class T>
Difference first_difference(const Passes& got, const Passes& want) {
    const Difference forward = first_difference<T>(got.activations, want.activations);
    if (forward.differs || !forward.up_to.empty()) return forward;
    const Difference backward = first_difference<T>(got.gradients, want.gradients);
    return backward.differs || backward.relative > forward.relative ? backward : forward;
}
// The same of a backend's and Cpu<double>'s.
template <class B>
Difference first_difference(const Config& config, const Tokens& t, const Weights& weights) {
    using T = typename B::T;
    return first_difference<T>(passes<B, T>(config, t, weights), passes<Cpu<double>, T>(config, t, weights));
}

}  // namespace sluice
