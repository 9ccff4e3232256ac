#include "eval/generate.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <optional>

#include "base/check.h"
#include "base/rng.h"
#include "cli/terminal.h"

namespace sluice {
namespace {

// Draws one of `ids` from softmax(logits / temperature) over the top_k ids with the largest logits. logits (vocab); u,
// in (0, 1), is the random number.
template <class T>
int32_t draw(const std::vector<T>& logits, std::vector<int32_t> ids, const Sampling& sampling, double u) {
    const size_t k = sampling.temperature == 0 ? 1
                     : sampling.top_k > 0      ? std::min(ids.size(), size_t(sampling.top_k))
                                               : ids.size();
    // The k likeliest ids come first; equal logits in order of ids, so that every library draws the same.
    const auto larger = [&](int32_t a, int32_t b) {
        return logits[size_t(a)] > logits[size_t(b)] || (logits[size_t(a)] == logits[size_t(b)] && a < b);
    };
    std::partial_sort(ids.begin(), ids.begin() + int64_t(k), ids.end(), larger);
    std::vector<double> weight(k, 1.0);  // relative to the largest
    for (size_t i = 0; i < k && k > 1; i++)
        weight[i] = std::exp(double(logits[size_t(ids[i])] - logits[size_t(ids[0])]) / sampling.temperature);
    // The id at which the running sum of weights reaches u times their total.
    double left = u * std::accumulate(weight.begin(), weight.end(), 0.0);
    for (size_t i = 0; i < k; i++)
        if ((left -= weight[i]) <= 0) return ids[i];
    return ids[k - 1];  // where rounding leaves a rest
}

}  // namespace

template <class B>
std::vector<int32_t> generate(Model<B>& model, std::vector<int32_t> prompt, int64_t window,
                              const std::vector<int32_t>& drawn, const Sampling& sampling) {
    check(!prompt.empty(), "generation needs a token to begin with");
    std::vector<int32_t> known;
    const auto in_model = [&](int32_t id) { return id >= 0 && id < model.spec().vocab; };
    std::copy_if(drawn.begin(), drawn.end(), std::back_inserter(known), in_model);
    check(!known.empty(), "generation needs tokens to draw from");
    std::vector<int32_t> text = std::move(prompt), out;
    std::vector<typename B::T> logits(size_t(model.spec().vocab));
    std::optional<ProgressLine> progress;
    if (sampling.progress) progress.emplace("sample", "tokens", double(sampling.tokens), sampling.progress);
    for (int64_t i = 0; i < sampling.tokens; i++) {
        if (progress) progress->at(double(i));
        const int64_t length = std::min<int64_t>(window, int64_t(text.size()));
        model.hidden_states({1, length}, text.data() + text.size() - size_t(length), nullptr);
        model.logits(logits.data(), length - 1);
        if (!std::all_of(logits.begin(), logits.end(), [](auto x) { return std::isfinite(x); }))
            fail(Exit::non_finite, "the model's logits are not finite: its weights are damaged or training diverged");
        out.push_back(draw(logits, known, sampling, uniform(mix(sampling.seed, 0x73616d706c65), uint64_t(i))));
        text.push_back(out.back());
    }
    return out;
}

#define INSTANTIATE(B)                                                                                            \
    template std::vector<int32_t> generate(Model<B>&, std::vector<int32_t>, int64_t, const std::vector<int32_t>&, \
                                           const Sampling&);
SLUICE_BACKENDS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace sluice
