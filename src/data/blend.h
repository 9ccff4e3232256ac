// Chooses the source of each sample of a run. After any n samples a source of weight share s has given s n of them, to
// within less than one sample. Source: R. Tijdeman, "The chairman assignment problem" (1980), whose rule
// stays within 1 - 1 / (2 k - 2) for k sources.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {

class Blend {
 public:
    explicit Blend(const std::vector<double>& weights);  // above 0
    struct Pick {
        size_t source;
        int64_t index;  // among the samples of that source
    };
    // Sample n of the run, n from 0: a pure function of n. An n far from the last one asked for is reached by a jump
    // and about 1 / s single steps, s being the smallest share.
    Pick at(int64_t n);
    int64_t steps() const { return steps_; }  // single steps made so far; jumps are not counted

 private:
    void step();
    void jump(int64_t n);

    // Shares, due_ and deficits_ are fixed-point numbers in units of 2^-60.
    std::vector<int64_t> shares_;    // weight / sum of weights; they sum to 1
    int64_t due_ = 0;                // a source may be chosen once its deficit is this large: 1 / (2 k - 2)
    std::vector<int64_t> counts_;    // samples that each source gave among the first n_
    std::vector<int64_t> deficits_;  // share * n_ - count
    int64_t n_ = 0, steps_ = 0;
    Pick last_{0, 0};
};

}  // namespace sluice
