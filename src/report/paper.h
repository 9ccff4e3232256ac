// Figures of the paper's tables (arXiv 2505.06708), to stand beside ours. Its models have 1.7B to 15B parameters and
// saw 400B tokens or more: only signs and order may be compared.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "config/specs.h"

namespace sluice {

struct PaperRow {
    std::string name;                                       // "Table 1: sdpa elementwise"
    double perplexity;                                      // mean over held-out sets
    double of_baseline;                                     // its baseline's
    std::optional<double> gate_score, m_act_ratio, f_attn;  // Table 4; of M-Act, to the baseline's
};

// The rows that a point corresponds to. It must differ from its baseline (a model without changes) as the row does from
// the paper's: in all layers by one gate, by a norm or an activation behind attention, by Switch Heads or sandwich
// norms, or by more query heads, key-value heads or experts. Table 2's rows are of dense models at several learning
// rates. A model with a row's depth, learning rate and tokens gets this row. Any other one is compared with the 48
// layers at 4e-3, or at 8e-3 if its rate is at least twice `least_rate`, the lowest of the baseline's in the sweep.
std::vector<PaperRow> paper_rows(const Config& config, const Config& baseline, double least_rate);

// The baseline's own row; nothing where it has changes.
std::optional<PaperRow> paper_baseline(const Config& baseline);

}  // namespace sluice
