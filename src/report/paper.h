// Figures of the paper's tables (arXiv 2505.06708), to stand beside ours. Its MoE model of 15B parameters after 400B
// tokens: only signs and order may be compared.
#pragma once
#include <optional>
#include <string>

#include "config/model_spec.h"

namespace sluice {

struct PaperRow {
    const char* name;                                 // of the row in Tables 1, 3 and 4
    double perplexity;                                // mean over held-out sets
    std::optional<double> gate_score, m_act, f_attn;  // Table 4
};

// The row whose gates, norm and activation of attention a model has in all layers; nothing where there is none.
std::optional<PaperRow> paper_row(const ModelSpec& model);
// The row of a baseline that was made larger as this one: with more query heads, key-value heads or experts alone.
std::optional<PaperRow> paper_row_of_larger(const ModelSpec& model, const ModelSpec& baseline);

}  // namespace sluice
