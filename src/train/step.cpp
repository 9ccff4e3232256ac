#include "train/step.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "train/data.h"
#include "train/schedule.h"

namespace sluice {

template <class B>
Trainer<B>::Trainer(const Config& config, Comm& comm, int64_t delimiter)
    : config_(config),
      comm_(comm),
      delimiter_(delimiter),
      model_(config.model, {config.train.micro_batch, config.data.sequence_length}, config.train.recompute,
             Mode::training),
      moments_("moments", 2 * size_t(model_.parameters()) * sizeof(T)),
      m_(reinterpret_cast<T*>(moments_.data())),
      v_(m_ + model_.parameters()) {
    const size_t tokens = size_t(config.train.micro_batch * config.data.sequence_length);
    sample_.resize(size_t(config.data.sequence_length + 1));
    tokens_.resize(tokens);
    targets_.resize(tokens);
    if (config.data.document_mask) first_.resize(tokens);
    model_.initialise(config.run.seed);
}

template <class B>
void Trainer<B>::read_micro_batch(const Samples& samples, int64_t first_sample) {
    const int64_t length = config_.data.sequence_length;
    for (int64_t i = 0; i < config_.train.micro_batch; i++) {
        samples(first_sample + i, sample_.data());
        std::copy_n(sample_.begin(), length, tokens_.begin() + i * length);
        std::copy_n(sample_.begin() + 1, length, targets_.begin() + i * length);
        if (!first_.empty()) document_starts(first_.data() + i * length, sample_.data(), length, delimiter_);
    }
}

// Leaves the step's gradient, of the mean loss over all ranks' tokens, in the model; returns this rank's sum of losses.
template <class B>
double Trainer<B>::forward_backward(const Samples& samples) {
    const int64_t m = config_.train.micro_batch, ranks = comm_.size();
    const double scale = 1 / double(config_.train.batch * config_.data.sequence_length);
    fill<B>({}, model_.gradients(), T(0), model_.parameters());
    double loss = 0;
    for (int64_t u = 0; u < config_.train.batch / (m * ranks); u++) {
        read_micro_batch(samples, consumed_ + (u * ranks + comm_.rank()) * m);
        loss += model_.forward_backward({m, config_.data.sequence_length}, tokens_.data(), targets_.data(),
                                        first_.empty() ? nullptr : first_.data(), scale);
    }
    return loss * scale;
}

template <class B>
StepResult Trainer<B>::step(const Samples& samples, Votes votes) {
    double sums[3] = {forward_backward(samples), votes.stop ? 1.0 : 0.0, votes.saved ? 1.0 : 0.0};
    comm_.all_reduce(sums, 3);
    comm_.all_reduce(model_.gradients(), model_.parameters());
    const double grad_norm = std::sqrt(sum_of_squares<B>({}, model_.gradients(), model_.parameters()));

    // A NaN or infinity on any rank is in the sums of every rank: all decide alike.
    const bool finite = std::isfinite(sums[0]) && std::isfinite(grad_norm);
    progress_.step++;
    consumed_ += config_.train.batch;
    const double lr = learning_rate(config_, progress_.step);
    if (finite) update(lr, grad_norm);
    progress_.skipped += !finite;
    progress_.skipped_in_a_row = finite ? 0 : progress_.skipped_in_a_row + 1;
    return {sums[0], grad_norm, lr, finite, int64_t(sums[1]), int64_t(sums[2])};
}

template <class B>
void Trainer<B>::update(double lr, double grad_norm) {
    const OptimizerSpec& n = config_.optimizer;
    progress_.updates++;
    AdamW step{lr, n.beta1, n.beta2, n.eps, 0, 1, 0, 0};
    if (n.grad_clip > 0 && grad_norm > n.grad_clip) step.gradient_scale = n.grad_clip / grad_norm;
    step.correction1 = 1 - std::pow(n.beta1, double(progress_.updates));
    step.correction2 = 1 - std::pow(n.beta2, double(progress_.updates));
    for (const TensorInfo& t : model_.tensors()) {
        step.weight_decay = t.decay == Decay::yes ? n.weight_decay : 0;
        adamw<B>({}, model_.weights() + t.offset, m_ + t.offset, v_ + t.offset, model_.gradients() + t.offset, t.count,
                 step);
    }
}

template <class B>
void Trainer<B>::go_on_from(const Progress& progress, int64_t consumed) {
    progress_ = progress;
    consumed_ = consumed;
}

template <class B>
std::vector<StateTensor> Trainer<B>::state() {
    std::vector<StateTensor> state;
    const std::string dtype = std::is_same_v<T, double> ? "F64" : "F32";
    const auto list = [&](const std::string& prefix, T* base) {
        for (const TensorInfo& t : model_.tensors())
            state.push_back({prefix + t.name, dtype, t.shape, base + t.offset, size_t(t.count) * sizeof(T)});
    };
    list("", model_.weights());
    list("adam.m/", m_);
    list("adam.v/", v_);
    return state;
}

template class Trainer<Cpu<float>>;
template class Trainer<Cpu<double>>;

}  // namespace sluice
