// Which source each sample of a run comes from, so that after every sample each source has its share of all so far to
// within less than one sample. Source: R. Tijdeman, "The chairman assignment problem" (1980), whose rule never strays
// further than 1 - 1 / (2 k - 2) with k sources.
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
    // A pure function of n, which may be any: what lies far from the last n is found without walking there, within
    // about 1 / s steps, s being the smallest share.
    Pick at(int64_t n);
    int64_t steps() const { return steps_; }  // walked so far

 private:
    void step();
    void jump(int64_t n);

    std::vector<int64_t> shares_;           // in 2^-60; they sum to 1
    int64_t due_ = 0;                       // in 2^-60: how far behind a source must be to be chosen
    std::vector<int64_t> counts_, behind_;  // after n_ samples; the latter in 2^-60
    int64_t n_ = 0, steps_ = 0;
    Pick last_{0, 0};
};

}  // namespace sluice
