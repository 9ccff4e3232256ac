// The file that keeps the GEMM choices of one kind of machine, for all runs: gemm-MACHINE.txt in cache_folder(), a line
// a choice. Whoever times holds a lock beside it, so that processes neither choose differently nor disturb a timing.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>

#include "kernels/cpu/gemm/choice.h"

namespace sluice {

// To be used by one thread at a time.
class GemmCacheFile {
 public:
    // The file's choice, else what time() returns, which is kept there. Nothing where the file cannot be locked or
    // written: another process might then choose differently. Once that is so, time() is not called any more.
    std::optional<GemmAlgorithm> find_or_time(const GemmKey& key, const std::function<GemmAlgorithm()>& time);

 private:
    bool writable_ = true;  // as far as is known
};

// Of this machine; empty where there is no cache folder.
std::filesystem::path gemm_cache_path();

}  // namespace sluice
