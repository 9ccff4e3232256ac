// A look at a model's forward over a text: what gates let through, where attention goes, what experts get.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "layers/probe.h"
#include "model/model.h"

namespace sluice {

// The same on every rank.
struct InspectedText {
    std::vector<int32_t> tokens;     // at least one, in windows of `length`, the last of which may be shorter
    std::vector<int32_t> doc_start;  // of each token, in its window, as of attention_forward; empty: no mask
    int64_t length;
    int64_t sequences;  // windows per forward pass of a rank
};

struct InspectedLayer {
    LayerSums sums;                         // of all tokens and heads; router_entropy is a mean over tokens
    std::vector<MagnitudeSums> mean_score;  // as sums.before, times the mean factor of the layer's sdpa gates; empty
                                            // unless these are there and all multiply
    std::vector<std::vector<double>> row_norms;  // of each gate: the norm of each row of the weights that its scores
                                                 // are made with; empty where they are constants
    std::vector<double> map;  // (tokens, tokens): attention of the first window, mean over heads; empty with ReLA
};
struct Inspection {
    std::vector<InspectedLayer> layers;
    int64_t map_tokens;  // the first of the first window, kMapTokens at most
};

// Of a model in Mode::inspection. Collective over its mesh: the windows are divided over the data-parallel ranks, and
// all ranks get the same.
template <class B>
Inspection inspect(Model<B>& model, const InspectedText& text);

}  // namespace sluice
