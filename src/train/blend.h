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
    // A pure function of n. It walks from the last n that was asked for, or from 0 where that is behind.
    Pick at(int64_t n);

 private:
    void step();
    std::vector<int64_t> shares_;  // in 2^-60; they sum to 1
    std::vector<int64_t> counts_;
    int64_t n_ = 0;  // samples walked
    Pick last_{0, 0};
};

}  // namespace sluice
