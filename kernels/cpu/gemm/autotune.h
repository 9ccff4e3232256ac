// Which algorithm multiplies which fp32 GEMM. The fastest depends on processor, shape and threads, so training times
// them when it first meets a shape, and keeps the choice. It is looked for, in this order, among
//     1. the choices of this process, which begin with those of the checkpoint that a run resumes from;
//     2. the cache file of this kind of machine (cache_file.h), which all runs read;
//     3. what a timing finds, which then goes to that file.
// A fixed algorithm serves where nothing may be timed: outside of training, where the file cannot be written, and for
// GEMMs that are too small to be worth it.
#pragma once
#include <functional>
#include <string>

#include "kernels/cpu/gemm/choice.h"

namespace sluice {

// The choice for such a GEMM; time_all() times every algorithm and returns the fastest.
GemmAlgorithm autotuned_algorithm(const GemmShape& shape, int threads, const std::function<GemmAlgorithm()>& time_all);

// The fixed one.
GemmAlgorithm untimed_algorithm(const GemmShape& shape);

// Of which machine choices are: a short hash of its processor and the libraries' versions.
const std::string& gemm_machine();

}  // namespace sluice
