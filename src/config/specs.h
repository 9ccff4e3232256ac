// Every config key, declared once. A spec lists its keys in fields(v): v(key, field, "help"), numbers with the range of
// their values; visitors load, refuse unknown keys and values out of range, dump and print the reference. Defaults that
// depend on other keys are filled in by resolve (load.h).
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/activation.h"
#include "base/words.h"
#include "config/range.h"

namespace sluice {

// ---------------------------------------------------------------- words
#define SLUICE_WORDS(Enum, ...)                                              \
    template <>                                                              \
    struct Words<Enum> {                                                     \
        static constexpr std::pair<const char*, Enum> all[] = {__VA_ARGS__}; \
    }

enum class Device { automatic, cpu, cuda };
SLUICE_WORDS(Device, {"auto", Device::automatic}, {"cpu", Device::cpu}, {"cuda", Device::cuda});
enum class Scaling { none, linear, yarn };
SLUICE_WORDS(Scaling, {"none", Scaling::none}, {"linear", Scaling::linear}, {"yarn", Scaling::yarn});
enum class AttentionKind { softmax };
SLUICE_WORDS(AttentionKind, {"softmax", AttentionKind::softmax});
enum class SdpaNorm { none, rmsnorm };
SLUICE_WORDS(SdpaNorm, {"none", SdpaNorm::none}, {"rmsnorm", SdpaNorm::rmsnorm});
enum class SdpaActivation { none, silu };
SLUICE_WORDS(SdpaActivation, {"none", SdpaActivation::none}, {"silu", SdpaActivation::silu});
enum class Position { query, key, value, sdpa, output };
SLUICE_WORDS(Position, {"query", Position::query}, {"key", Position::key}, {"value", Position::value},
             {"sdpa", Position::sdpa}, {"output", Position::output});
enum class Granularity { elementwise, headwise };
SLUICE_WORDS(Granularity, {"elementwise", Granularity::elementwise}, {"headwise", Granularity::headwise});
enum class HeadSharing { specific, shared, averaged };
SLUICE_WORDS(HeadSharing, {"specific", HeadSharing::specific}, {"shared", HeadSharing::shared},
             {"averaged", HeadSharing::averaged});
enum class GateInput { hidden, none };
SLUICE_WORDS(GateInput, {"hidden", GateInput::hidden}, {"none", GateInput::none});
enum class SwitchTarget { none, v, kv };
SLUICE_WORDS(SwitchTarget, {"none", SwitchTarget::none}, {"v", SwitchTarget::v}, {"kv", SwitchTarget::kv});
enum class Balance { global_batch, micro_batch, bias, none };
SLUICE_WORDS(Balance, {"global_batch", Balance::global_batch}, {"micro_batch", Balance::micro_batch},
             {"bias", Balance::bias}, {"none", Balance::none});
enum class Precision { fp32, bf16 };
SLUICE_WORDS(Precision, {"fp32", Precision::fp32}, {"bf16", Precision::bf16});
enum class Recompute { none, ffn, attention, block };
SLUICE_WORDS(Recompute, {"none", Recompute::none}, {"ffn", Recompute::ffn}, {"attention", Recompute::attention},
             {"block", Recompute::block});
enum class OptimizerKind { adamw };
SLUICE_WORDS(OptimizerKind, {"adamw", OptimizerKind::adamw});
enum class ScheduleKind { cosine, wsd, constant };
SLUICE_WORDS(ScheduleKind, {"cosine", ScheduleKind::cosine}, {"wsd", ScheduleKind::wsd},
             {"constant", ScheduleKind::constant});
#undef SLUICE_WORDS

// ---------------------------------------------------------------- model
struct RopeSpec {
    double theta = 10000;
    Scaling scaling = Scaling::none;
    double factor = 1;
    int64_t original_length = 0;
    template <class V>
    void fields(V&& v) {
        v("theta", theta, "base of the rotation frequencies", above(1));
        v("scaling", scaling, "how positions beyond the trained length are reached");
        v("factor", factor, "length extension of linear and yarn scaling", above(0));
        v("original_length", original_length, "trained length, for yarn", kCount);
    }
};

struct AttentionSpec {
    AttentionKind kind = AttentionKind::softmax;
    int64_t window = 0;
    SdpaNorm sdpa_norm = SdpaNorm::none;
    SdpaActivation sdpa_activation = SdpaActivation::none;
    template <class V>
    void fields(V&& v) {
        v("kind", kind, "the mixing of tokens");
        v("window", window, "tokens seen, itself included; 0: all before", kCount);
        v("sdpa_norm", sdpa_norm, "RMSNorm over each head's attention output");
        v("sdpa_activation", sdpa_activation, "a nonlinearity on the attention output");
    }
};

struct GateSpec {
    Position position = Position::sdpa;
    Granularity granularity = Granularity::elementwise;
    HeadSharing heads = HeadSharing::specific;
    Combine combine = Combine::multiply;
    Activation activation = Activation::sigmoid;
    GateInput input = GateInput::hidden;
    bool bias = false;
    std::optional<double> init_std;
    template <class V>
    void fields(V&& v) {
        v("position", position, "which tensor of attention is gated");
        v("granularity", granularity, "a score per channel or per head");
        v("heads", heads, "each head its own score, one for all, or the mean of all");
        v("combine", combine, "multiply by the activated score or add it");
        v("activation", activation, "what turns a score into a gate");
        v("input", input, "scores from the hidden state, or learned constants");
        v("bias", bias, "add a bias to the scores");
        v("init_std", init_std, "std of the gate's initial weights (default: model.init_std)", at_least(0));
    }
};

// The gates of each layer: one list for every layer, or lists for inclusive ranges of layers.
struct GateMap {
    struct Range {
        int64_t first = 0, last = -1;  // last -1: up to the last layer
        std::vector<GateSpec> gates;
    };
    bool per_layer = false;     // false: ranges holds one entry (or none), for every layer
    std::vector<Range> ranges;  // sorted, disjoint

    const std::vector<GateSpec>& at(int64_t layer) const {
        static const std::vector<GateSpec> kNone;
        for (auto& r : ranges)
            if (!per_layer || (r.first <= layer && (r.last < 0 || layer <= r.last))) return r.gates;
        return kNone;
    }
};

struct SwitchHeadsSpec {
    SwitchTarget target = SwitchTarget::none;
    int64_t experts = 0, top_k = 0;
    template <class V>
    void fields(V&& v) {
        v("target", target, "which projections are mixtures");
        v("experts", experts, "expert maps a key-value head", from(0, 4096));
        v("top_k", top_k, "experts added up a token and head", from(0, 4096));
    }
};

struct FfnSpec {
    int64_t hidden = 0;
    template <class V>
    void fields(V&& v) {
        v("hidden", hidden, "width of the SwiGLU layer (required without experts)", from(0, kMaxWidth));
    }
};

struct MoeSpec {
    int64_t experts = 0, top_k = 0, hidden = 0, shared_hidden = 0;
    bool norm_top_k = true;
    Balance balance = Balance::global_batch;
    double balance_coef = 0.01, z_coef = 0.001, bias_rate = 0.001;
    template <class V>
    void fields(V&& v) {
        v("experts", experts, "experts a layer; 0: a dense model", from(0, kMaxExperts));
        v("top_k", top_k, "experts a token", from(0, kMaxExperts));
        v("hidden", hidden, "width of an expert", from(0, kMaxWidth));
        v("shared_hidden", shared_hidden, "width of the shared expert; 0: none", from(0, kMaxWidth));
        v("norm_top_k", norm_top_k, "divide the picked weights by their sum");
        v("balance", balance, "how load is balanced");
        v("balance_coef", balance_coef, "weight of the balance loss", at_least(0));
        v("z_coef", z_coef, "weight of the router's z-loss", at_least(0));
        v("bias_rate", bias_rate, "step of the selection bias", at_least(0));
    }
};

struct ModelSpec {
    int64_t layers = 0, hidden = 0, heads = 0, kv_heads = 0, head_dim = 0, vocab = 0;
    bool tie_embeddings = false, qk_norm = true;
    double norm_eps = 1e-6, init_std = 0.02;
    RopeSpec rope;
    AttentionSpec attention;
    GateMap gates;
    SwitchHeadsSpec switch_heads;
    FfnSpec ffn;
    MoeSpec moe;
    bool sandwich_norm = false;
    double residual_clip = 0;
    template <class V>
    void fields(V&& v) {
        v("layers", layers, "transformer blocks (required)", from(1, kMaxLayers));
        v("hidden", hidden, "model width (required)", from(1, kMaxWidth));
        v("heads", heads, "query heads (required)", from(1, kMaxWidth));
        v("kv_heads", kv_heads, "key-value heads (default: heads)", from(1, kMaxWidth));
        v("head_dim", head_dim, "width of a head (default: hidden / heads)", from(1, kMaxWidth));
        v("vocab", vocab, "vocabulary size (required)", from(2, kMaxVocab));
        v("tie_embeddings", tie_embeddings, "share the embedding with the head");
        v("qk_norm", qk_norm, "RMSNorm over each query and key head");
        v("norm_eps", norm_eps, "epsilon of every RMSNorm", above(0));
        v("init_std", init_std, "std of the initial weights", above(0));
        v("rope", rope, "rotary position embedding");
        v("attention", attention, "attention");
        v("gates", gates, "gates of every layer: a list, or a map of layer ranges to lists");
        v("switch_heads", switch_heads, "mixtures of value and key maps");
        v("ffn", ffn, "dense feed-forward");
        v("moe", moe, "mixture of experts");
        v("sandwich_norm", sandwich_norm, "RMSNorm on the outputs of attention and FFN");
        v("residual_clip", residual_clip, "clamp those outputs to (-c, c); 0: none", at_least(0));
    }
};

// ---------------------------------------------------------------- run
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
    int64_t steps = 0, batch = 0, micro_batch = 0;
    Precision precision = Precision::fp32;
    Recompute recompute = Recompute::none;
    template <class V>
    void fields(V&& v) {
        v("steps", steps, "optimizer steps (required)", kCount);
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
        v("decay_steps", decay_steps, "steps of wsd's final line", kCount);
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
