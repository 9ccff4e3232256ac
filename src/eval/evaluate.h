// Loss on held-out text: every token of a set but its first is predicted exactly once, in windows of sequence_length
// that start where the last ended (the last may be short).
#pragma once
#include <cstdio>
#include <optional>

#include "data/data.h"
#include "model/model.h"

namespace sluice {

struct Evaluation {
    double loss = 0;  // mean over tokens, in nats
    double perplexity = 0;
    std::optional<double> bits_per_byte;  // where the text's size is known
    int64_t tokens = 0;                   // predicted
};

struct EvaluationSpec {
    int64_t length;     // of a window
    int64_t sequences;  // windows a pass and rank
    int64_t windows;    // at most so many of a set; 0: all
    bool document_mask;
    std::FILE* progress = nullptr;  // where a long evaluation says how far it is; null: nowhere
};

// Collective over the model's mesh: the windows are divided over the data-parallel ranks.
template <class B>
Evaluation evaluate(Model<B>& model, ValidationData& data, const EvaluationSpec& spec);

}  // namespace sluice
