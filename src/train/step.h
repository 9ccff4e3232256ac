// One training step on every rank: micro-batches, sums over ranks, the check for non-finite values, clip, update.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "config/specs.h"
#include "kernels/replay.h"
#include "log/step_result.h"
#include "model/model.h"
#include "model/step_sums.h"
#include "optim/optimizer.h"
#include "optim/spans.h"
#include "parallel/mesh.h"

namespace sluice {

// Reads sample n of the run: tokens (sequence_length + 1), and doc_start (sequence_length), the index at which the
// document of each token begins; null without document_mask.
using Samples = std::function<void(int64_t n, int32_t* tokens, int32_t* doc_start)>;

// What a rank reports with its step. All ranks get the sums, and so decide alike.
struct StepFlags {
    bool stop = false;   // a signal asked this rank to stop
    bool saved = false;  // this rank's part of the background checkpoint is on disk
};

template <class B>
class Trainer {
 public:
    using T = typename B::T;
    using G = typename B::G;

    Trainer(const Config& config, Mesh& mesh);

    // Takes the next step. All ranks get the same result. before_update: called before the state changes, when forward
    // and backward are done; null: nothing is.
    StepResult step(const Samples& samples, StepFlags flags = {}, const std::function<void()>& before_update = {});

    const Progress& progress() const { return progress_; }
    // After weights or all of the state were loaded into state(): with masters, rounds the weights. Collective with
    // zero.
    void round_weights() { optimizer_.round_weights(); }
    // After the state was loaded. consumed_samples: number of the next sample.
    void restore(const Progress& progress, int64_t consumed_samples, const SpikeHistory& spikes = {});
    int64_t consumed_samples() const { return consumed_samples_; }  // samples, over all ranks
    // Those trained on.
    int64_t tokens() const { return (consumed_samples_ - progress_.passed_over) * config_.data.sequence_length; }
    // What the guard remembers; none without a guard.
    std::optional<SpikeHistory> spike_history() const {
        return spike_rule_ ? std::optional(spike_rule_->history()) : std::nullopt;
    }

    Model<B>& model() { return model_; }
    const Model<B>& model() const { return model_; }
    // The tensors of a checkpoint, weights and then the optimizer's state, with the slices that this rank holds.
    std::vector<StateTensor> state();
    size_t bytes() const { return model_.bytes().total() + optimizer_bytes(); }
    size_t optimizer_bytes() const { return optimizer_.bytes() + gradient_shards_.bytes(); }

 private:
    void forward_backward(const Samples& samples);
    void read_micro_batch(const Samples& samples, int64_t first_sample);
    // Completes the gradients of tensors [begin, end): sums them over tensor ranks that hold partial sums, then starts
    // the sum over the data group.
    void reduce(size_t begin, size_t end);
    // The complete gradient of a tensor, with zero only of this rank's shard of it.
    G* gradient(size_t tensor) const {
        return zero_ ? reinterpret_cast<G*>(gradient_shards_.data()) + shards_[tensor].offset
                     : model_.gradients() + model_.tensors()[tensor].offset;
    }
    StepSums sum_over_ranks(const StepTotals& totals, StepFlags flags);
    std::optional<Spike> spike(double loss, double grad_norm);
    RoutingResult routing(const StepSums& sums) const;
    // Whether micro-batches are queued alike, and without a wait of the host.
    bool replays() const { return mesh_.only_queues() && mesh_.coord.expert == 1 && !looks(); }
    bool looks() const { return config_.probes.every > 0 && (progress_.step + 1) % config_.probes.every == 0; }
    std::vector<LayerLook> look(const std::vector<LayerSums>& own);

    Config config_;
    Mesh& mesh_;
    bool zero_;
    Model<B> model_;
    OptimizerShards shards_;
    Arena gradient_shards_;  // with zero: gradients summed over the data group, one shard per tensor
    Optimizer<B> optimizer_;
    SpanList<B, Span> own_gradients_;  // those of this rank's shards, from gradient(0)
    GradientsReady reduce_, none_;
    Replay<B> micro_batch_{"micro-batch"}, last_micro_batch_{"last micro-batch"};  // the last one with reductions
    Progress progress_;
    int64_t consumed_samples_ = 0;
    std::optional<SpikeRule> spike_rule_;                         // with spikes.action
    std::vector<int32_t> sample_, tokens_, targets_, doc_start_;  // (length + 1), (micro_batch, length) each
    std::vector<double> sums_;                                    // StepSums and what follows them
    std::vector<int64_t> tokens_per_expert_;                      // (layers, experts), sums over all ranks
};

}  // namespace sluice
