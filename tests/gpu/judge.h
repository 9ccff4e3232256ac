// What rows make of what they have measured.
#pragma once
#include <algorithm>
#include <string>

#include "base/format.h"
#include "gpu/passes.h"
#include "gpu/rows.h"

namespace sluice {

inline bool same_bits(const Passes& a, const Passes& b) {
    const auto same = [](const Seen& x, const Seen& y) {
        return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                          [](const SeenTensor& p, const SeenTensor& q) { return p.values == q.values; });
    };
    return same(a.activations, b.activations) && same(a.gradients, b.gradients);
}

// The first tensor that is further from the exact one than our own attention leaves it, by more than kTimes, and than
// bf16 may be; else the one that is furthest. Both round: where gradients cancel, they may differ by much.
inline Difference worse_than_own(const Seen& chosen, const Seen& own, const Seen& exact) {
    constexpr double kTimes = 3;
    Difference most;
    for (size_t i = 0; i < exact.size(); i++) {
        const double relative = difference_of(chosen[i], exact[i]), its = difference_of(own[i], exact[i]);
        if (!(relative <= std::max(kPassTolerance<bf16>, kTimes * its))) return {exact[i].name, relative, true, ""};
        if (relative >= most.relative) most = {exact[i].name, relative, false, ""};
    }
    return most;
}

// Attention as the engine chooses it against our own, and both against Cpu<double>. ours: it has to be our own, which
// has the same bits.
inline Outcome judge_attention(const Passes& chosen, const Passes& own, const Passes& exact, bool ours) {
    const bool same = same_bits(chosen, own);
    if (ours && same) return {Outcome::pass, "auto has the bits of our own", {}};
    if (ours) return {Outcome::fail, "auto is not our own where it has to be", {}};
    if (same) return {Outcome::not_run, "auto is our own attention: there is no cuDNN, or it has no plan", {}};
    Difference d = worse_than_own(chosen.activations, own.activations, exact.activations);
    if (const Difference b = worse_than_own(chosen.gradients, own.gradients, exact.gradients);
        !d.differs && (b.differs || b.relative > d.relative))
        d = b;
    return {d.differs ? Outcome::fail : Outcome::pass,
            (d.differs ? "worse than our own first: " : "as near to the CPU as our own; most off: ") + d.text(),
            {{"difference", d.relative}}};
}

// What keeps attention's scores from being near -100: the first token's is its log-sum-exp. Empty: nothing.
inline std::string not_far(const Passes& seen) {
    const auto lse = std::find_if(seen.activations.begin(), seen.activations.end(),
                                  [](const SeenTensor& t) { return t.name == "layers.0.attention.lse"; });
    if (lse == seen.activations.end()) return "no layers.0.attention.lse";
    const double score = lse->values[0];
    return score > -120 && score < -80 ? "" : "the first score is " + format_fixed(score, 1) + ", not near -100";
}

// Bytes that were planned, that arenas have, that the device gave; and that are planned beside the arenas.
inline Outcome judge_memory(size_t planned, size_t arenas, size_t taken, size_t most_beside) {
    const size_t beside = taken - std::min(taken, planned);
    const bool same = arenas == planned && taken >= planned && beside <= most_beside;
    return {same ? Outcome::pass : Outcome::fail,
            std::to_string(planned) + " bytes planned" +
                (arenas == planned ? "" : ", " + std::to_string(arenas) + " in arenas") + "; beside them " +
                format_bytes(double(beside)) + " taken, at most " + format_bytes(double(most_beside)) + " planned",
            {{"planned", double(planned)}, {"arenas", double(arenas)}, {"taken", double(taken)}}};
}

}  // namespace sluice
