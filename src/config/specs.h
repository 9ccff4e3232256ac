// Every config key, declared once: those under `model` in model_spec.h, the others here. A spec lists its keys in
// fields(v): v(key, field, "help", attributes), with attributes as in attributes.h. Visitors load, report unknown and
// missing keys and values out of range, dump, print the reference, and compare on resume.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/enums.h"
#include "config/model_spec.h"

namespace sluice {

struct RunSpec {
    std::string name, dir = "runs";
    int64_t seed = 1;
    void fields(auto&& v) {
        using enum Change;
        v("name", name, "name of the run and its folder", derived("the config file's name", nothing));
        v("dir", dir, "parent folder of runs", nothing);
        v("seed", seed, "seed of weights, data order and samples", {course, kCount});
    }
};

struct DataSource {
    std::string path;
    double weight = 1;
    void fields(auto&& v) {
        using enum Change;
        v("path", path, "token shards: a set's NAME.json, a file, a folder or a glob", {course, Required::not_empty});
        v("weight", weight, "share of the samples, relative to the other sources", {course, above(0)});
    }
};

struct ValidationSet {
    std::string name, path;
    void fields(auto&& v) {
        using enum Change;
        v("name", name, "name of the set in logs", {nothing, Required::not_empty});
        v("path", path, "token shards: a set's NAME.json, a file, a folder or a glob", {nothing, Required::not_empty});
    }
};

struct DataSpec {
    std::vector<DataSource> train;
    std::vector<ValidationSet> validation;
    int64_t sequence_length = 0;
    bool document_mask = false;
    std::string tokenizer;
    std::optional<int64_t> delimiter;
    void fields(auto&& v) {
        using enum Change;
        v("train", train, "sources of training tokens", {course, Required::in_training});
        v("validation", validation, "held-out sets", nothing);
        v("sequence_length", sequence_length, "tokens per sequence",
          {course, from(1, kMaxSequences), Required::always});
        v("document_mask", document_mask, "a token attends only to its own document", course);
        v("tokenizer", tokenizer, "'bytes' or a tokenizer's file, as in docs/tokenizers.md",
          derived("the one beside the shards", nothing));
        v("delimiter", delimiter, "token id that begins a document, for shards without an index of documents",
          {course, from(0, kMaxVocab)});
    }
};

struct TrainSpec {
    int64_t steps = 0;  // once resolved also those of tokens or epochs, which are then unset
    std::optional<int64_t> tokens;
    std::optional<double> epochs;
    int64_t batch = 0, micro_batch = 0;
    Precision precision = Precision::fp32;
    Recompute recompute = Recompute::none;
    AttentionBy attention = AttentionBy::automatic;
    void fields(auto&& v) {
        using enum Change;  // tokens and epochs change nothing: the steps derived from them are compared
        v("steps", steps, "optimizer steps", {course, kCount, Required::this_tokens_or_epochs});
        v("tokens", tokens, "instead of steps: tokens to train on, rounded up to whole steps",
          {nothing, from(1, 0x1p53)});
        v("epochs", epochs, "instead of steps: passes over as many samples as all sources have", {nothing, above(0)});
        v("batch", batch, "sequences per step, over all ranks", {course, from(1, kMaxSequences), Required::always});
        v("micro_batch", micro_batch, "sequences per rank and forward pass",
          derived("batch / data-parallel ranks", nothing, from(0, kMaxSequences)));
        v("precision", precision,
          "precision of matrix products: on a CPU bf16 needs AVX512-BF16, and all else stays fp32", rounding);
        v("recompute", recompute, "activations that backward recomputes instead of keeping", nothing);
        v("attention", attention, "on a GPU: by cuDNN where it can, or by our own kernels", rounding);
    }
};

struct OptimizerSpec {
    OptimizerKind kind = OptimizerKind::adamw;
    double lr = 0, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1, grad_clip = 1.0;
    double momentum = 0.95;
    void fields(auto&& v) {
        using enum Change;
        v("kind", kind, "adamw, or muon for the layers' matrices except routers and adamw for all else", course);
        v("lr", lr, "peak learning rate", {course, at_least(0), Required::in_training});
        v("beta1", beta1, "decay of the first moment", {course, from_below(0, 1)});
        v("beta2", beta2, "decay of the second moment", {course, from_below(0, 1)});
        v("eps", eps, "added to the root of the second moment", {course, above(0)});
        v("weight_decay", weight_decay, "decoupled decay of matrices", {course, at_least(0)});
        v("grad_clip", grad_clip, "largest norm of the gradient; 0: none", {course, at_least(0)});
        v("momentum", momentum, "decay of muon's momentum", {course, from_below(0, 1)});
    }
};

struct ScheduleSpec {
    ScheduleKind kind = ScheduleKind::cosine;
    int64_t warmup_steps = 0;
    double final_lr = 0;
    int64_t decay_steps = 0;
    void fields(auto&& v) {
        using enum Change;
        v("kind", kind, "shape of the learning rate after warm-up", course);
        v("warmup_steps", warmup_steps, "steps of linear warm-up", {course, kCount});
        v("final_lr", final_lr, "learning rate at the last step", {course, at_least(0)});
        v("decay_steps", decay_steps, "steps of wsd's final decay; other kinds have none", {course, kCount});
    }
};

struct SpikeSpec {
    SpikeAction action = SpikeAction::none;
    int64_t window = 128, most = 5;
    double threshold = 8;
    void fields(auto&& v) {
        using enum Change;
        v("action", action,
          "steps whose loss or gradient norm jumps: none, skip them, or rewind where that is not enough", course);
        v("window", window, "steps whose median and MAD a step is compared with", {course, from(4, kMaxWindow)});
        v("threshold", threshold, "standard deviations above the median, each 1.4826 MAD, that are a jump",
          {course, above(0)});
        v("most", most, "steps in a row that are skipped; then rewind goes back, and skip accepts the new level",
          {course, kCountFromOne});
    }
};

struct ParallelSpec {
    int64_t tensor = 1, expert = 1;
    bool sequence = false;
    int64_t zero = 0;
    Communicator communicator = Communicator::automatic;
    double timeout = 600;
    void fields(auto&& v) {
        using enum Change;
        v("tensor", tensor, "ranks that shard each layer", {nothing, from(1, kMaxRanks)});
        v("expert", expert, "ranks that shard the experts", {nothing, from(1, kMaxRanks)});
        v("sequence", sequence, "shard norms and residual along the sequence", nothing);
        v("zero", zero, "shard the optimizer's state (1) or not (0)", {nothing, from(0, 1)});
        v("communicator", communicator,
          "between GPUs: nccl; staged, by the host: ranks may share a GPU; auto: nccl where it is", nothing);
        v("timeout", timeout, "seconds after which a silent peer counts as lost", {nothing, above(0)});
    }
};

struct CheckpointSpec {
    int64_t every = 1000, keep = 2;
    bool async = true;
    std::string resume = "auto", init_from;
    bool allow_change = false;
    void fields(auto&& v) {
        using enum Change;
        v("every", every, "steps between checkpoints; 0: only at the end", {nothing, kCount});
        v("keep", keep, "checkpoints kept; 0: all", {nothing, kCount});
        v("async", async, "write in the background", nothing);
        v("resume", resume, "auto, never, or a checkpoint's path", nothing);
        v("init_from", init_from, "start from another checkpoint's weights", nothing);
        v("allow_change", allow_change, "resume although the course of training changes", nothing);
    }
};

struct EvalSpec {
    int64_t every = 0, batches = 0;
    void fields(auto&& v) {
        using enum Change;
        v("every", every, "steps between evaluations; 0: none", {nothing, kCount});
        v("batches", batches, "batches per set; 0: the whole set", {nothing, kCount});
    }
};

struct ProbeSpec {
    int64_t every = 0;
    void fields(auto&& v) { v("every", every, "steps between probes; 0: none", {Change::nothing, kCount}); }
};

struct SampleSpec {
    int64_t every = 0;
    std::string prompt;
    int64_t tokens = 64;
    void fields(auto&& v) {
        using enum Change;
        v("every", every, "steps between samples; 0: none", {nothing, kCount});
        v("prompt", prompt, "text that a sample continues", nothing);
        v("tokens", tokens, "tokens per sample", {nothing, kCountFromOne});
    }
};

struct LogSpec {
    int64_t every = 10;
    bool tensorboard = true;
    void fields(auto&& v) {
        using enum Change;
        v("every", every, "steps between log lines", {nothing, kCountFromOne});
        v("tensorboard", tensorboard, "write TensorBoard events", nothing);
    }
};

struct Config {
    RunSpec run;
    Device device = Device::automatic;
    ModelSpec model;
    DataSpec data;
    TrainSpec train;
    OptimizerSpec optimizer;
    ScheduleSpec schedule;
    SpikeSpec spikes;
    ParallelSpec parallel;
    CheckpointSpec checkpoint;
    EvalSpec eval;
    ProbeSpec probes;
    SampleSpec sample;
    LogSpec log;
    void fields(auto&& v) {
        v("run", run, "the run", kSection);
        v("device", device, "where to compute", Change::nothing);
        v("model", model, "the model", kSection);
        v("data", data, "tokens", kSection);
        v("train", train, "length and batch", kSection);
        v("optimizer", optimizer, "optimizer", kSection);
        v("schedule", schedule, "learning rate", kSection);
        v("spikes", spikes, "guard against spikes", kSection);
        v("parallel", parallel, "sharding over ranks", kSection);
        v("checkpoint", checkpoint, "checkpoints", kSection);
        v("eval", eval, "evaluation during training", kSection);
        v("probes", probes, "probes during training", kSection);
        v("sample", sample, "samples during training", kSection);
        v("log", log, "logs", kSection);
    }
};

}  // namespace sluice
