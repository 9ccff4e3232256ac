// Loss on held-out text. Every token of a set but its first is predicted exactly once, in windows of sequence_length
// tokens, each of which starts where the previous one ended. The last may be shorter.
#pragma once
#include <cstdio>
#include <optional>

#include "data/data.h"
#include "model/model.h"

namespace sluice {

struct Evaluation {
    double loss = 0;  // mean over tokens, in nats
    double perplexity = 0;
    std::optional<double> bits_per_byte;  // where the text's size in bytes is known
    int64_t tokens = 0;                   // predicted tokens
};

struct EvaluationSpec {
    int64_t length;     // tokens of a window
    int64_t sequences;  // windows per forward pass of a rank
    int64_t windows;    // windows of a set, at most; 0: all
    bool document_mask;
    std::FILE* progress = nullptr;  // where a long evaluation reports its progress; null: nowhere
};

// Collective over the model's mesh: the windows are divided over the data-parallel ranks.
template <class B>
Evaluation evaluate(Model<B>& model, ValidationData& data, const EvaluationSpec& spec);

}  // namespace sluice
