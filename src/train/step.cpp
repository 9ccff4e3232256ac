#include "train/step.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "kernels/autotune.h"
#include "kernels/memory.h"
#include "model/with_backend.h"
#include "optim/schedule.h"

namespace sluice {

template <class B>
Trainer<B>::Trainer(const Config& config, Mesh& mesh)
    : config_(config),
      mesh_(mesh),
      zero_(config.parallel.zero > 0),
      model_(config.model, {config.train.micro_batch, config.data.sequence_length}, config.train.recompute,
             Mode::training, mesh, matmul_precision(config.train.precision)),
      shards_(model_.tensors(), mesh, zero_, config.optimizer),
      gradient_shards_("gradient shares", zero_ ? size_t(shards_.capacity()) * sizeof(G) : 0, memory_of<B>()),
      optimizer_(config.optimizer, model_, mesh, shards_,
                 zero_ ? reinterpret_cast<G*>(gradient_shards_.data()) : nullptr),
      reduce_([this](size_t begin, size_t end) { reduce(begin, end); }) {
    const size_t tokens = size_t(config.train.micro_batch * config.data.sequence_length);
    sample_.resize(size_t(config.data.sequence_length + 1));
    tokens_.resize(tokens);
    targets_.resize(tokens);
    if (config.data.document_mask) doc_start_.resize(tokens);
    tokens_per_expert_.resize(size_t(config.model.layers * config.model.moe.experts));
    sums_.resize(size_t(kStepSums) + tokens_per_expert_.size());
    std::vector<Span> spans;
    for (size_t i = 0; i < model_.tensors().size(); i++)
        if (shards_[i].first && model_.tensors()[i].trained())
            spans.push_back({gradient(i) - gradient(0) + (zero_ ? 0 : shards_[i].begin), shards_[i].count});
    own_gradients_ = SpanList<B, Span>(spans, model_.stream());
    if (const SpikeSpec& s = config.spikes; s.action != SpikeAction::none)
        spike_rule_.emplace(s.window, s.threshold, s.most);
    model_.initialise(config.run.seed);
    optimizer_.initialise(config.run.seed);
}

template <class B>
void Trainer<B>::read_micro_batch(const Samples& samples, int64_t first_sample) {
    const int64_t length = config_.data.sequence_length;
    for (int64_t i = 0; i < config_.train.micro_batch; i++) {
        samples(first_sample + i, sample_.data(), doc_start_.empty() ? nullptr : doc_start_.data() + i * length);
        std::copy_n(sample_.begin(), length, tokens_.begin() + i * length);
        std::copy_n(sample_.begin() + 1, length, targets_.begin() + i * length);
    }
}

// Leaves the gradient of the step's objective in the model, or with zero in the shards.
template <class B>
void Trainer<B>::forward_backward(const Samples& samples) {
    const int64_t m = config_.train.micro_batch, ranks = mesh_.coord.data;
    const double scale = 1 / double(config_.train.batch * config_.data.sequence_length);
    const int64_t micro_batches = config_.train.batch / (m * ranks);
    zero<B>(model_.stream(), model_.gradients(), model_.parameters());
    model_.reset_totals(looks());
    mesh_.step = progress_.step + 1;
    const AutotuneScope autotuning;
    for (int64_t u = 0; u < micro_batches; u++) {
        read_micro_batch(samples, consumed_samples_ + (u * ranks + mesh_.coord.data_rank) * m);
        const bool last = u + 1 == micro_batches;
        model_.forward_backward({m, config_.data.sequence_length}, tokens_.data(), targets_.data(),
                                doc_start_.empty() ? nullptr : doc_start_.data(), scale, last ? reduce_ : none_,
                                !replays() ? nullptr
                                : last     ? &last_micro_batch_
                                           : &micro_batch_);
    }
    mesh_.finish();  // also of what a graph has queued
}

template <class B>
void Trainer<B>::reduce(size_t begin, size_t end) {
    const auto& tensors = model_.tensors();
    const auto trained = [&](auto&& take) {
        for (size_t i = begin; i < end; i++)
            if (tensors[i].trained()) take(i, tensors[i], model_.gradients() + tensors[i].offset);
    };
    mesh_.tensor->together([&] {
        trained([&](size_t, const TensorInfo& t, G* gradient) {
            if (t.sharding.gradient == ShardSpec::over_tensor) mesh_.tensor->all_reduce(gradient, t.count);
            if (t.sharding.gradient == ShardSpec::over_replicas) mesh_.replicas->all_reduce(gradient, t.count);
        });
    });
    mesh_.data->together([&] {
        trained([&](size_t i, const TensorInfo& t, G* gradient) {
            const OptimizerShard& shard = shards_[i];
            if (zero_)
                shard.group->start_reduce_scatter(this->gradient(i), static_cast<const G*>(gradient),
                                                  shard.counts.data());
            else
                shard.group->start_all_reduce(gradient, t.count);
        });
    });
    if (begin == 0) mesh_.finish();  // the embedding's come last
}

// All ranks get the same sums, and tokens_per_expert_ of all ranks.
template <class B>
StepSums Trainer<B>::sum_over_ranks(const StepTotals& totals, StepFlags flags) {
    // The ranks of a tensor group have the same tokens: only the first of them adds what it has of these.
    const double counts = mesh_.coord.tensor_rank == 0 ? 1 : 0;
    const double scale = 1 / double(config_.train.batch * config_.data.sequence_length);
    StepSums sums;
    sums.loss = counts * (totals.loss * scale);
    sums.stop_requests = flags.stop ? 1 : 0;
    sums.saved_ranks = flags.saved ? 1 : 0;
    sums.gradient_squares = totals.gradient_squares;
    for (const RouterSums& r : totals.routers) {
        sums.balance += counts * r.balance;
        sums.z += counts * r.z;
        sums.entropy += counts * r.entropy;
    }
    auto numbers = std::bit_cast<std::array<double, kStepSums>>(sums);
    std::copy(numbers.begin(), numbers.end(), sums_.begin());
    for (size_t i = 0; i < totals.tokens_per_expert.size(); i++)
        sums_[size_t(kStepSums) + i] = counts * double(totals.tokens_per_expert[i]);
    mesh_.world.all_reduce(sums_.data(), int64_t(sums_.size()));
    std::copy_n(sums_.begin(), kStepSums, numbers.begin());
    std::copy(sums_.begin() + kStepSums, sums_.end(), tokens_per_expert_.begin());
    return std::bit_cast<StepSums>(numbers);
}

template <class B>
RoutingResult Trainer<B>::routing(const StepSums& sums) const {
    const int64_t layers = config_.model.layers, experts = config_.model.moe.experts;
    const double mean =
        double(config_.train.batch * config_.data.sequence_length * config_.model.moe.top_k) / double(experts);
    const int64_t largest = *std::max_element(tokens_per_expert_.begin(), tokens_per_expert_.end());
    return {sums.balance / double(layers), sums.z / double(layers), double(largest) / mean,
            sums.entropy / double(layers)};
}

template <class B>
std::vector<LayerLook> Trainer<B>::look(const std::vector<LayerSums>& own) {
    std::vector<LayerLook> look;
    for (const LayerSums& layer : sluice::sum_over_ranks(own, config_.model, mesh_)) look.push_back(look_at(layer));
    return look;
}

template <class B>
std::optional<Spike> Trainer<B>::spike(double loss, double grad_norm) {
    if (!spike_rule_ || !spike_rule_->is_spike(loss, grad_norm)) return std::nullopt;
    return Spike{spike_rule_->loss(), spike_rule_->grad_norm(), spike_rule_->history().in_a_row};
}

template <class B>
StepResult Trainer<B>::step(const Samples& samples, StepFlags flags, const std::function<void()>& before_update) {
    forward_backward(samples);
    // Every element of the model is in the shard of exactly one rank.
    sum_of_squares<B>(model_.stream(), model_.gradient_squares(), gradient(0), own_gradients_.data(),
                      own_gradients_.count());
    const StepTotals& totals = model_.totals();  // here the host waits for the step, once
    const StepSums sums = sum_over_ranks(totals, flags);
    StepResult result{};
    result.loss = sums.loss;
    result.grad_norm = std::sqrt(sums.gradient_squares);
    result.stop_requests = int64_t(sums.stop_requests);
    result.saved_ranks = int64_t(sums.saved_ranks);
    result.first_sample = consumed_samples_;
    result.spike = spike(result.loss, result.grad_norm);
    if (looks()) result.look = look(totals.probes);
    if (!tokens_per_expert_.empty()) result.routing = routing(sums);

    // A NaN or infinity on any rank is in the sums on every rank, and so is a spike: all ranks decide alike.
    const bool finite = std::isfinite(result.loss) && std::isfinite(result.grad_norm);
    result.applied = finite && !result.spike;
    progress_.step++;
    consumed_samples_ += config_.train.batch;
    result.lr = learning_rate(config_, progress_.step);
    if (result.applied) {
        if (before_update) before_update();
        optimizer_.update(result.lr, result.grad_norm, ++progress_.updates);
        if (!tokens_per_expert_.empty())
            model_.update_router_biases(tokens_per_expert_.data(), config_.model.moe.bias_rate);
    }
    progress_.skipped += !finite;
    progress_.skipped_in_a_row = finite ? 0 : progress_.skipped_in_a_row + 1;
    progress_.spikes += result.spike.has_value();
    if (result.applied && progress_.step > progress_.furthest + config_.spikes.window) progress_.rewinds = 0;
    return result;
}

template <class B>
void Trainer<B>::restore(const Progress& progress, int64_t consumed_samples, const SpikeHistory& spikes) {
    progress_ = progress;
    consumed_samples_ = consumed_samples;
    if (spike_rule_) spike_rule_->restore(spikes);
}

template <class B>
std::vector<StateTensor> Trainer<B>::state() {
    std::vector<StateTensor> state;
    using A = typename B::A;
    const auto list = [&](const std::string& prefix, size_t i, A* data, bool shard_only) {
        const TensorInfo& t = model_.tensors()[i];
        const Box shard = box_of_rows(t, shards_[i].rows);
        state.push_back({prefix + t.name, dtype_of<A>(), t.shape, shard_only ? shard : t.box, data,
                         shards_[i].first ? shard : box_of_rows(t, {0, 0}), &memory_of<B>(), model_.stream()});
    };
    for (size_t i = 0; i < model_.tensors().size(); i++) {
        const TensorInfo& t = model_.tensors()[i];
        if (!t.trained()) list("", i, model_.untrained() + t.offset, false);
        if constexpr (!Optimizer<B>::kMasters)
            if (t.trained()) list("", i, model_.weights() + t.offset, false);
    }
    optimizer_.state([&](const char* prefix, size_t i, A* data) { list(prefix, i, data, zero_); });
    return state;
}

#define INSTANTIATE(B) template class Trainer<B>;
SLUICE_BACKENDS(INSTANTIATE)

}  // namespace sluice
