// One training step on every rank: micro-batches, sums over ranks, the check for non-finite values, clip, AdamW.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "config/specs.h"
#include "model/model.h"
#include "parallel/comm.h"
#include "train/checkpoint.h"

namespace sluice {

// tokens (sequence_length + 1) of sample n of the run.
using Samples = std::function<void(int64_t n, int32_t* tokens)>;

struct Progress {
    int64_t step = 0, updates = 0;  // steps taken; steps applied (Adam's t)
    int64_t skipped = 0, skipped_in_a_row = 0;
};

struct StepResult {
    double loss, grad_norm, lr;  // of the weights before the update
    bool applied;                // false: something was not finite, and no rank changed its weights
    int64_t stop_votes, saved_votes;
};

// What ranks tell each other on the way; sums of these are the same everywhere, so all act alike.
struct Votes {
    bool stop = false;   // a signal asked this rank to stop
    bool saved = false;  // this rank's part of the checkpoint in the background is on disk
};

template <class B>
class Trainer {
 public:
    using T = typename B::T;

    // delimiter: begins a document, for document_mask; below 0: none.
    Trainer(const Config& config, Comm& comm, int64_t delimiter);

    // Takes the next step. All ranks get the same result.
    StepResult step(const Samples& samples, Votes votes = {});

    const Progress& progress() const { return progress_; }
    void go_on_from(const Progress& progress, int64_t consumed);  // after the state was loaded
    int64_t consumed() const { return consumed_; }                // samples, over all ranks
    int64_t tokens() const { return consumed_ * config_.data.sequence_length; }

    Model<B>& model() { return model_; }
    // Weights under their names and moments under adam.m/NAME, adam.v/NAME: what a checkpoint holds.
    std::vector<StateTensor> state();
    size_t bytes() const { return model_.bytes().total() + moments_.bytes(); }

 private:
    double forward_backward(const Samples& samples);
    void update(double lr, double grad_norm);
    void read_micro_batch(const Samples& samples, int64_t first_sample);

    Config config_;
    Comm& comm_;
    int64_t delimiter_;
    Model<B> model_;
    Arena moments_;
    T *m_, *v_;
    Progress progress_;
    int64_t consumed_ = 0;
    std::vector<int32_t> sample_, tokens_, targets_, first_;  // (length + 1), (micro_batch, length) each
};

}  // namespace sluice
