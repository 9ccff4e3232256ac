// AdamW (arXiv 1711.05101) of one number, for every backend. All constants are formed once, so that an element costs
// one division and one root: lr (m / correction1) / (sqrt(v / correction2) + eps) = rate m / (sqrt(v) root + eps), and
// w - lr weight_decay w = decay w.
#pragma once
#include <cmath>

#include "base/host_device.h"
#include "kernels/ops.h"

namespace sluice {

template <class A>
struct AdamWMath {
    A beta1, beta2, new1, new2, clip, rate, root, eps, decay;

    explicit AdamWMath(const AdamW& n)
        : beta1(A(n.beta1)),
          beta2(A(n.beta2)),
          new1(A(1 - n.beta1)),
          new2(A(1 - n.beta2)),
          clip(A(n.gradient_scale)),
          rate(A(n.lr / n.correction1)),
          root(A(1 / std::sqrt(n.correction2))),
          eps(A(n.eps)),
          decay(A(1 - n.lr * n.weight_decay)) {}

    // What a weight is multiplied by before its step.
    SLUICE_HD A kept(bool decays) const { return decays ? decay : A(1); }

    // Returns the new weight, and moves the moments m and v; g is the gradient.
    SLUICE_HD A update(A w, A& m, A& v, A g, A kept) const {
        const A clipped = g * clip;
        m = beta1 * m + new1 * clipped;
        v = beta2 * v + new2 * clipped * clipped;
        return kept * w - rate * m / (std::sqrt(v) * root + eps);
    }
};

}  // namespace sluice
