// One training step on every rank: micro-batches, sums over ranks, the check for non-finite values, clip, AdamW.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "config/specs.h"
#include "log/step_result.h"
#include "model/model.h"
#include "optim/optimizer.h"
#include "parallel/mesh.h"

namespace sluice {

// tokens (sequence_length + 1) of sample n of the run; doc_start (sequence_length): where the document of each token
// begins, null without document_mask.
using Samples = std::function<void(int64_t n, int32_t* tokens, int32_t* doc_start)>;

// What a rank reports with its step; all ranks get the sums, so that they act alike.
struct StepFlags {
    bool stop = false;   // a signal asked this rank to stop
    bool saved = false;  // this rank's part of the background checkpoint is on disk
};

// Sums over all ranks of a step: one all-reduce of doubles.
struct StepSums {
    double loss = 0, stop_requests = 0, saved_ranks = 0;
    double gradient_squares = 0;
    double balance = 0, z = 0, entropy = 0;  // of the routers, over layers
};

template <class B>
class Trainer {
 public:
    using T = typename B::T;

    Trainer(const Config& config, Mesh& mesh);

    // Takes the next step. All ranks get the same result.
    StepResult step(const Samples& samples, StepFlags flags = {});

    const Progress& progress() const { return progress_; }
    void restore(const Progress& progress, int64_t consumed_samples);  // after the state was loaded
    int64_t consumed_samples() const { return consumed_samples_; }     // samples, over all ranks
    int64_t tokens() const { return consumed_samples_ * config_.data.sequence_length; }

    Model<B>& model() { return model_; }
    // Weights under their names and the optimizer's state: what a checkpoint holds, as this rank does.
    std::vector<StateTensor> state();
    size_t bytes() const { return model_.bytes().total() + optimizer_bytes(); }
    size_t optimizer_bytes() const { return optimizer_.bytes() + gradient_shards_.bytes(); }

 private:
    double forward_backward(const Samples& samples);
    void read_micro_batch(const Samples& samples, int64_t first_sample);
    // Completes the gradients of some tensors: over ranks that hold parts of the sum, then over the data group.
    void reduce(size_t begin, size_t end);
    // The complete gradient of a tensor, or with zero of this rank's shard of it.
    T* gradient(size_t tensor) const {
        return zero_ ? reinterpret_cast<T*>(gradient_shards_.data()) + shards_[tensor].offset
                     : model_.gradients() + model_.tensors()[tensor].offset;
    }
    double sum_of_squares() const;
    RoutingResult routing(const StepSums& sums);

    Config config_;
    Mesh& mesh_;
    bool zero_;
    Model<B> model_;
    OptimizerShards shards_;
    Arena gradient_shards_;  // with zero: sums over the data group, a shard per tensor
    Optimizer<B> optimizer_;
    GradientsReady reduce_, none_;
    Progress progress_;
    int64_t consumed_samples_ = 0;
    std::vector<int32_t> sample_, tokens_, targets_, doc_start_;  // (length + 1), (micro_batch, length) each
    std::vector<int64_t> tokens_per_expert_;                      // (layers, experts), of all ranks
};

}  // namespace sluice
