// Every config key, declared once: those under `model` in model_spec.h, the others here. A spec lists its keys in
// fields(v): v(key, field, "help"), numbers with the range of their values; visitors load, refuse unknown keys and
// values out of range, dump and print the reference. Defaults that depend on other keys are filled in by resolve
// (load.h).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/model_spec.h"
#include "config/range.h"
#include "config/words.h"

namespace sluice {

struct RunSpec {
    std::string name, dir = "runs";
    int64_t seed = 1;
    template <class V>
    void fields(V&& v) {
        v("name", name, "name of the run and its folder (default: the config file's name)");
        v("dir", dir, "where runs go");
        v("seed", seed, "seed of weights, data order and samples", kCount);
    }
};

struct DataSource {
    std::string path;
    double weight = 1;
    template <class V>
    void fields(V&& v) {
        v("path", path, "token shards: a set's NAME.json, a file, a folder or a glob");
        v("weight", weight, "share of the samples, relative to the others", above(0));
    }
};

struct ValidationSet {
    std::string name, path;
    template <class V>
    void fields(V&& v) {
        v("name", name, "name of the set in logs");
        v("path", path, "token shards: a set's NAME.json, a file, a folder or a glob");
    }
};

struct DataSpec {
    std::vector<DataSource> train;
    std::vector<ValidationSet> validation;
    int64_t sequence_length = 0;
    bool document_mask = false;
    std::string tokenizer;
    std::optional<int64_t> delimiter;
    template <class V>
    void fields(V&& v) {
        v("train", train, "sources of training tokens (required)");
        v("validation", validation, "held-out sets");
        v("sequence_length", sequence_length, "tokens a sequence (required)", from(1, kMaxSequences));
        v("document_mask", document_mask, "a token sees only its own document");
        v("tokenizer", tokenizer,
          "'bytes' or a tokenizer's file, as in docs/tokenizers.md (default: the one beside the shards)");
        v("delimiter", delimiter, "token id that begins a document, for foreign shards", from(0, kMaxVocab));
    }
};

struct TrainSpec {
    int64_t steps = 0;  // once resolved it stands for tokens and epochs too, which are then unset
    std::optional<int64_t> tokens;
    std::optional<double> epochs;
    int64_t batch = 0, micro_batch = 0;
    Precision precision = Precision::fp32;
    Recompute recompute = Recompute::none;
    template <class V>
    void fields(V&& v) {
        v("steps", steps, "optimizer steps (required: this, tokens or epochs)", kCount);
        v("tokens", tokens, "instead of steps: tokens to train on, rounded up to whole steps", from(1, 0x1p53));
        v("epochs", epochs, "instead of steps: as many samples as all sources have, so often", above(0));
        v("batch", batch, "sequences a step over all ranks (required)", from(1, kMaxSequences));
        v("micro_batch", micro_batch, "sequences a rank and pass (default: batch / data-parallel ranks)",
          from(0, kMaxSequences));
        v("precision", precision, "what products multiply: on a CPU bf16 needs AVX512-BF16, and all else stays fp32");
        v("recompute", recompute, "what backward computes again instead of keeping");
    }
};

struct OptimizerSpec {
    OptimizerKind kind = OptimizerKind::adamw;
    double lr = 0, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1, grad_clip = 1.0;
    template <class V>
    void fields(V&& v) {
        v("kind", kind, "the optimizer");
        v("lr", lr, "peak learning rate (required)", at_least(0));
        v("beta1", beta1, "decay of the first moment", from_below(0, 1));
        v("beta2", beta2, "decay of the second moment", from_below(0, 1));
        v("eps", eps, "added to the root of the second moment", above(0));
        v("weight_decay", weight_decay, "decoupled decay of matrices", at_least(0));
        v("grad_clip", grad_clip, "largest norm of the gradient; 0: none", at_least(0));
    }
};

struct ScheduleSpec {
    ScheduleKind kind = ScheduleKind::cosine;
    int64_t warmup_steps = 0;
    double final_lr = 0;
    int64_t decay_steps = 0;
    template <class V>
    void fields(V&& v) {
        v("kind", kind, "course of the learning rate after warm-up");
        v("warmup_steps", warmup_steps, "steps of linear warm-up", kCount);
        v("final_lr", final_lr, "learning rate at the last step", at_least(0));
        v("decay_steps", decay_steps, "steps of wsd's final line; other kinds have none", kCount);
    }
};

struct ParallelSpec {
    int64_t tensor = 1, expert = 1;
    bool sequence = false;
    int64_t zero = 0;
    double timeout = 600;
    template <class V>
    void fields(V&& v) {
        v("tensor", tensor, "ranks that share each layer", from(1, kMaxRanks));
        v("expert", expert, "ranks that share the experts", from(1, kMaxRanks));
        v("sequence", sequence, "shard norms and residual along the sequence");
        v("zero", zero, "shard the optimizer's state (1) or not (0)", from(0, 1));
        v("timeout", timeout, "seconds after which a silent peer counts as lost", above(0));
    }
};

struct CheckpointSpec {
    int64_t every = 1000, keep = 2;
    bool async = true;
    std::string resume = "auto", init_from;
    bool allow_change = false;
    template <class V>
    void fields(V&& v) {
        v("every", every, "steps between checkpoints; 0: only at the end", kCount);
        v("keep", keep, "checkpoints kept; 0: all", kCount);
        v("async", async, "write in the background");
        v("resume", resume, "auto, never, or a checkpoint's path");
        v("init_from", init_from, "start from another checkpoint's weights");
        v("allow_change", allow_change, "resume although the course changes");
    }
};

struct EvalSpec {
    int64_t every = 0, batches = 0;
    template <class V>
    void fields(V&& v) {
        v("every", every, "steps between evaluations; 0: none", kCount);
        v("batches", batches, "batches a set; 0: the whole set", kCount);
    }
};

struct ProbeSpec {
    int64_t every = 0;
    template <class V>
    void fields(V&& v) {
        v("every", every, "steps between probes; 0: none", kCount);
    }
};

struct SampleSpec {
    int64_t every = 0;
    std::string prompt;
    int64_t tokens = 64;
    template <class V>
    void fields(V&& v) {
        v("every", every, "steps between samples; 0: none", kCount);
        v("prompt", prompt, "text a sample goes on from");
        v("tokens", tokens, "tokens a sample", kCountFromOne);
    }
};

struct LogSpec {
    int64_t every = 10;
    bool tensorboard = true;
    template <class V>
    void fields(V&& v) {
        v("every", every, "steps between log lines", kCountFromOne);
        v("tensorboard", tensorboard, "write TensorBoard events");
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
    ParallelSpec parallel;
    CheckpointSpec checkpoint;
    EvalSpec eval;
    ProbeSpec probes;
    SampleSpec sample;
    LogSpec log;
    template <class V>
    void fields(V&& v) {
        v("run", run, "the run");
        v("device", device, "where to compute");
        v("model", model, "the model");
        v("data", data, "tokens");
        v("train", train, "length and batch");
        v("optimizer", optimizer, "optimizer");
        v("schedule", schedule, "learning rate");
        v("parallel", parallel, "sharding over ranks");
        v("checkpoint", checkpoint, "checkpoints");
        v("eval", eval, "evaluation during training");
        v("probes", probes, "probes during training");
        v("sample", sample, "samples during training");
        v("log", log, "logs");
    }
};

}  // namespace sluice
