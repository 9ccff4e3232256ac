#include "eval/evaluate.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "cli/terminal.h"

namespace sluice {

template <class B>
Evaluation evaluate(Model<B>& model, ValidationData& data, const EvaluationSpec& spec) {
    const int64_t predicted = data.tokens() - 1, length = spec.length;
    int64_t windows = (predicted + length - 1) / length;
    if (spec.windows > 0) windows = std::min(windows, spec.windows);
    const int64_t whole = std::min(windows, predicted / length);  // windows of full length

    std::vector<int32_t> tokens(size_t(spec.sequences * length)), targets(tokens.size()), doc_start(tokens.size()),
        window, starts;
    double sums[2] = {0, 0}, done = 0;  // sum of losses, number of tokens; tokens so far
    std::optional<ProgressLine> progress;
    if (spec.progress) progress.emplace("eval", "tokens", double(std::min(predicted, windows * length)), spec.progress);
    // Forward of windows w, w + 1, ..., w + sequences - 1, of tokens_each tokens each.
    const auto run = [&](int64_t w, int64_t sequences, int64_t tokens_each) {
        window.resize(size_t(tokens_each + 1));
        starts.resize(window.size());
        for (int64_t i = 0; i < sequences; i++) {
            data.read((w + i) * length, tokens_each + 1, window.data(), spec.document_mask ? starts.data() : nullptr);
            std::copy_n(window.begin(), tokens_each, tokens.begin() + i * tokens_each);
            std::copy_n(window.begin() + 1, tokens_each, targets.begin() + i * tokens_each);
            if (spec.document_mask) std::copy_n(starts.begin(), tokens_each, doc_start.begin() + i * tokens_each);
        }
        const double loss = model.forward({sequences, tokens_each}, tokens.data(), targets.data(),
                                          spec.document_mask ? doc_start.data() : nullptr);
        done += double(sequences * tokens_each);
        if (progress) progress->at(done * double(model.mesh().coord.data));
        if (model.mesh().coord.tensor_rank != 0) return;  // the ranks of a tensor group have the same tokens
        sums[0] += loss;
        sums[1] = done;
    };
    // Batch b is evaluated by data-parallel rank b modulo their number. Forward is collective over an expert group, so
    // that a rank without a batch in the last round runs it without tokens.
    const MeshCoord& coord = model.mesh().coord;
    const int64_t full = ceil_div(whole, spec.sequences);  // batches of windows of full length
    const int64_t batches = full + (whole < windows);      // and one with the short window
    for (int64_t batch = coord.data_rank; batch < ceil_div(batches, coord.data) * coord.data; batch += coord.data) {
        const int64_t first_window = batch * spec.sequences;
        if (batch < full)
            run(first_window, std::min(spec.sequences, whole - first_window), length);
        else if (batch < batches)
            run(whole, 1, predicted - whole * length);  // the last window is short
        else
            run(0, 0, 0);
    }
    model.mesh().world.all_reduce(sums, 2);
    Evaluation e;
    e.tokens = int64_t(sums[1]);
    e.loss = e.tokens > 0 ? sums[0] / sums[1] : 0;
    e.perplexity = std::exp(e.loss);
    if (const auto bytes = data.text_bytes(); bytes && *bytes > 0)
        e.bits_per_byte = e.loss / std::numbers::ln2 * double(predicted) / double(*bytes);
    return e;
}

#define INSTANTIATE(B) template Evaluation evaluate(Model<B>&, ValidationData&, const EvaluationSpec&);
SLUICE_BACKENDS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace sluice
