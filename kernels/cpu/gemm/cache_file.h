// The file that keeps the GEMM choices of one kind of machine, for all runs: gemm-MACHINE.txt in cache_folder().
#pragma once
#include <filesystem>
#include <functional>
#include <optional>

#include "kernels/choice_file.h"
#include "kernels/cpu/gemm/choice.h"

namespace sluice {

// Of this machine; empty where there is no cache folder.
std::filesystem::path gemm_cache_path();

// A ChoiceFile of GEMMs.
class GemmCacheFile {
 public:
    std::optional<GemmAlgorithm> find_or_time(const GemmKey& key, const std::function<GemmAlgorithm()>& time);

 private:
    ChoiceFile file_{gemm_cache_path};
};

}  // namespace sluice
