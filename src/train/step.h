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

// tokens (sequence_length + 1) of sample n of the run; first (sequence_length): where the document of each token
// begins, null without document_mask.
using Samples = std::function<void(int64_t n, int32_t* tokens, int32_t* first)>;

// What ranks tell each other on the way; sums of these are the same everywhere, so all act alike.
struct Votes {
    bool stop = false;   // a signal asked this rank to stop
    bool saved = false;  // this rank's part of the checkpoint in the background is on disk
};

template <class B>
class Trainer {
 public:
    using T = typename B::T;

    Trainer(const Config& config, Mesh& mesh);

    // Takes the next step. All ranks get the same result.
    StepResult step(const Samples& samples, Votes votes = {});

    const Progress& progress() const { return progress_; }
    void go_on_from(const Progress& progress, int64_t consumed);  // after the state was loaded
    int64_t consumed() const { return consumed_; }                // samples, over all ranks
    int64_t tokens() const { return consumed_ * config_.data.sequence_length; }

    Model<B>& model() { return model_; }
    // Weights under their names and the optimizer's state: what a checkpoint holds, as this rank does.
    std::vector<StateTensor> state();
    size_t bytes() const { return model_.bytes().total() + optimizer_bytes(); }
    size_t optimizer_bytes() const { return optimizer_.bytes() + gradient_shares_.bytes(); }

 private:
    double forward_backward(const Samples& samples);
    void read_micro_batch(const Samples& samples, int64_t first_sample);
    // Completes the gradients of some tensors: over ranks that hold parts of the sum, then over the data group.
    void reduce(size_t begin, size_t end);
    // The complete gradient of a tensor, or with zero of this rank's share of it.
    T* gradient(size_t tensor) const {
        return zero_ ? reinterpret_cast<T*>(gradient_shares_.data()) + shares_[tensor].offset
                     : model_.gradients() + model_.tensors()[tensor].offset;
    }
    double sum_of_squares() const;
    RoutingResult routing(const double* sums);

    Config config_;
    Mesh& mesh_;
    bool zero_;
    Model<B> model_;
    Shares shares_;
    Arena gradient_shares_;  // with zero: sums over the data group, a share a tensor
    Optimizer<B> optimizer_;
    GradientsReady reduce_, none_;
    Progress progress_;
    int64_t consumed_ = 0;
    std::vector<int32_t> sample_, tokens_, targets_, first_;  // (length + 1), (micro_batch, length) each
    std::vector<int64_t> picks_;                              // (layers, experts), of all ranks
};

}  // namespace sluice
