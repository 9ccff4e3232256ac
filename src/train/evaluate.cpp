#include "train/evaluate.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace sluice {

template <class B>
Evaluation evaluate(Model<B>& model, ValidationData& data, const EvaluationSpec& spec, Comm& comm) {
    const int64_t predicted = data.tokens() - 1, length = spec.length;
    int64_t windows = (predicted + length - 1) / length;
    if (spec.windows > 0) windows = std::min(windows, spec.windows);
    const int64_t whole = std::min(windows, predicted / length);  // windows of full length

    std::vector<int32_t> tokens(size_t(spec.sequences * length)), targets(tokens.size()), first(tokens.size()), window;
    double sums[2] = {0, 0};  // of losses, and tokens
    const auto run = [&](int64_t w, int64_t sequences, int64_t tokens_each) {
        window.resize(size_t(tokens_each + 1));
        for (int64_t i = 0; i < sequences; i++) {
            data.read((w + i) * length, tokens_each + 1, window.data());
            std::copy_n(window.begin(), tokens_each, tokens.begin() + i * tokens_each);
            std::copy_n(window.begin() + 1, tokens_each, targets.begin() + i * tokens_each);
            if (spec.delimiter >= 0)
                document_starts(first.data() + i * tokens_each, window.data(), tokens_each, spec.delimiter);
        }
        sums[0] += model.forward({sequences, tokens_each}, tokens.data(), targets.data(),
                                 spec.delimiter >= 0 ? first.data() : nullptr);
        sums[1] += double(sequences * tokens_each);
    };
    int64_t turn = 0;  // passes go round the ranks
    for (int64_t w = 0; w < whole; w += spec.sequences)
        if (turn++ % comm.size() == comm.rank()) run(w, std::min(spec.sequences, whole - w), length);
    if (whole < windows && turn % comm.size() == comm.rank()) run(whole, 1, predicted - whole * length);

    comm.all_reduce(sums, 2);
    Evaluation e;
    e.tokens = int64_t(sums[1]);
    e.loss = e.tokens > 0 ? sums[0] / sums[1] : 0;
    e.perplexity = std::exp(e.loss);
    if (const auto bytes = data.text_bytes(); bytes && *bytes > 0)
        e.bits_per_byte = e.loss / std::numbers::ln2 * double(predicted) / double(*bytes);
    return e;
}

template Evaluation evaluate(Model<Cpu<float>>&, ValidationData&, const EvaluationSpec&, Comm&);
template Evaluation evaluate(Model<Cpu<double>>&, ValidationData&, const EvaluationSpec&, Comm&);

}  // namespace sluice
