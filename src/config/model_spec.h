// The config keys under `model`, declared as specs.h describes.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "config/attributes.h"
#include "config/enums.h"
#include "config/per_layer.h"

namespace sluice {

struct RopeSpec {
    double theta = 10000;
    Scaling scaling = Scaling::none;
    double factor = 1;
    int64_t original_length = 0;
    void fields(auto&& v) {
        using enum Change;
        v("theta", theta, "base of the rotation frequencies", {model, above(1)});
        v("scaling", scaling, "how RoPE is extended beyond the trained length", model);
        v("factor", factor, "how many times longer than trained, for linear and yarn", {model, above(0)});
        v("original_length", original_length, "trained length, for yarn", {model, kCount});
    }
};

struct AttentionSpec {
    AttentionKind kind = AttentionKind::softmax;
    bool rela_gate = false;
    int64_t window = 0;
    SdpaNorm sdpa_norm = SdpaNorm::none;
    SdpaActivation sdpa_activation = SdpaActivation::none;
    void fields(auto&& v) {
        using enum Change;
        v("kind", kind, "how tokens are mixed: softmax attention, or ReLA (ReLU scores, RMSNorm over all heads)",
          model);
        v("rela_gate", rela_gate, "multiply ReLA's output by a sigmoid of its sums before the norm", model);
        v("window", window, "tokens that a token attends to, itself included; 0: all before it", {model, kCount});
        v("sdpa_norm", sdpa_norm, "RMSNorm over each head's attention output", model);
        v("sdpa_activation", sdpa_activation, "a nonlinearity on the attention output", model);
    }
};

struct GateSpec {
    Position position = Position::sdpa;
    Granularity granularity = Granularity::elementwise;
    HeadSharing heads = HeadSharing::specific;
    Combine combine = Combine::multiply;
    Activation activation = Activation::sigmoid;
    double scale = 1;
    GateInput input = GateInput::hidden;
    int64_t input_width = 0, rank = 0;
    RankActivation rank_activation = RankActivation::none;
    bool bias = false;
    std::optional<double> init_std;
    void fields(auto&& v) {
        using enum Change;
        v("position", position, "the tensor of attention that is gated", model);
        v("granularity", granularity, "a score per channel, or per head", model);
        v("heads", heads, "a score of each head, one shared by all heads, or the mean over heads", model);
        v("combine", combine, "multiply by the activated score or add it", model);
        v("activation", activation, "nonlinearity that turns a score into a gate", model);
        v("scale", scale, "factor of the activated score", {model, above(0)});
        v("input", input, "scores from the hidden state, or learned constants", model);
        v("input_width", input_width, "channels of the hidden state that scores read, from the first on; 0: all",
          {model, from(0, kMaxWidth)});
        v("rank", rank, "width of a map before that of the scores; 0: no such map", {model, from(0, kMaxWidth)});
        v("rank_activation", rank_activation, "nonlinearity between the two maps", model);
        v("bias", bias, "add a bias to the scores", model);
        v("init_std", init_std, "std of the initial weights that scores are made with",
          derived("model.init_std", model, at_least(0)));
    }
};

struct SwitchHeadsSpec {
    SwitchTarget target = SwitchTarget::none;
    int64_t experts = 0, top_k = 0;
    void fields(auto&& v) {
        using enum Change;
        v("target", target, "projections that are mixtures of experts", model);
        v("experts", experts, "experts per key-value head", {model, from(0, 4096)});
        v("top_k", top_k, "experts summed per token and head", {model, from(0, 4096)});
    }
};

struct FfnSpec {
    int64_t hidden = 0;
    void fields(auto&& v) {
        v("hidden", hidden, "width of the SwiGLU layer",
          {Change::model, from(0, kMaxWidth), Required::without_experts});
    }
};

struct MoeSpec {
    int64_t experts = 0, top_k = 0, hidden = 0, shared_hidden = 0;
    bool norm_top_k = true;
    Balance balance = Balance::global_batch;
    double balance_coef = 0.01, z_coef = 0.001, bias_rate = 0.001;
    void fields(auto&& v) {
        using enum Change;
        v("experts", experts, "experts per layer; 0: a dense model", {model, from(0, kMaxExperts)});
        v("top_k", top_k, "experts per token", {model, from(0, kMaxExperts), Required::with_experts});
        v("hidden", hidden, "width of an expert", {model, from(0, kMaxWidth), Required::with_experts});
        v("shared_hidden", shared_hidden, "width of the shared expert; 0: none", {model, from(0, kMaxWidth)});
        v("norm_top_k", norm_top_k, "divide the top-k weights by their sum", model);
        v("balance", balance, "how the experts' load is balanced", model);
        v("balance_coef", balance_coef, "weight of the balance loss", {model, at_least(0)});
        v("z_coef", z_coef, "weight of the router's z-loss", {model, at_least(0)});
        v("bias_rate", bias_rate, "step size of the router's bias", {model, at_least(0)});
    }
};

struct ModelSpec {
    int64_t layers = 0, hidden = 0, heads = 0, kv_heads = 0, head_dim = 0, vocab = 0;
    bool tie_embeddings = false, qk_norm = true;
    double norm_eps = 1e-6, init_std = 0.02;
    RopeSpec rope;
    PerLayer<AttentionSpec> attention;
    PerLayer<std::vector<GateSpec>> gates;
    SwitchHeadsSpec switch_heads;
    FfnSpec ffn;
    MoeSpec moe;
    bool sandwich_norm = false;
    double residual_clip = 0;
    // No keys of this section, but what load_config takes from train.attention and data.document_mask: by what
    // attention may be made, and so how much memory it takes.
    AttentionBy attention_by = AttentionBy::automatic;
    bool documents = false;
    void fields(auto&& v) {
        using enum Change;
        v("layers", layers, "transformer blocks", {model, from(1, kMaxLayers), Required::always});
        v("hidden", hidden, "model width", {model, from(1, kMaxWidth), Required::always});
        v("heads", heads, "query heads", {model, from(1, kMaxWidth), Required::always});
        v("kv_heads", kv_heads, "key-value heads", derived("heads", model, from(1, kMaxWidth)));
        v("head_dim", head_dim, "width of a head", derived("hidden / heads", model, from(1, kMaxWidth)));
        v("vocab", vocab, "vocabulary size", derived("that of the data's tokenizer", model, from(2, kMaxVocab)));
        v("tie_embeddings", tie_embeddings, "share the embedding with the head", model);
        v("qk_norm", qk_norm, "RMSNorm over each query and key head", model);
        v("norm_eps", norm_eps, "epsilon of every RMSNorm", {model, above(0)});
        v("init_std", init_std, "std of the initial weights", {model, above(0)});
        v("rope", rope, "rotary position embedding", kSection);
        v("attention", attention, "attention of all layers: the keys below, or a map of layer ranges to them", model);
        v("gates", gates, "gates of all layers: a list, or a map of layer ranges to lists", model);
        v("switch_heads", switch_heads, "mixtures of value and key projections", kSection);
        v("ffn", ffn, "dense feed-forward", kSection);
        v("moe", moe, "mixture of experts", kSection);
        v("sandwich_norm", sandwich_norm, "RMSNorm on the outputs of attention and FFN", model);
        v("residual_clip", residual_clip, "clamp those outputs to (-c, c); 0: none", {model, at_least(0)});
    }
};

}  // namespace sluice
