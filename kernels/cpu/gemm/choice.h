// Choices of an algorithm for a GEMM, and the line that each is in cache files and checkpoints:
//     onednn_sgemm 4096x384x1024 nt add threads 2
// algorithm, m x n x k, transposed (t) or not (n) of A and of B, "add" (C +=) or "set", "ragged" where it is, threads.
#pragma once
#include <map>
#include <string>

#include "kernels/cpu/gemm/algorithm.h"

namespace sluice {

// What a choice is made for. Ragged GEMMs with equally many rows, rounded up to a power of two, share one.
struct GemmKey {
    GemmShape shape;  // rows so rounded
    int threads;
    auto operator<=>(const GemmKey&) const = default;
};
GemmKey key_of(const GemmShape& shape, int threads);

using GemmChoices = std::map<GemmKey, GemmAlgorithm>;

std::string to_line(const GemmKey& key, GemmAlgorithm algorithm);
// Adds what the line says; false: it is no choice.
bool add_line(GemmChoices& choices, const std::string& line);

}  // namespace sluice
