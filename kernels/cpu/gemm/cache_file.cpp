#include "kernels/cpu/gemm/cache_file.h"

#include "base/machine.h"
#include "kernels/cpu/gemm/autotune.h"

namespace sluice {
namespace {

// Lines that are no choices are passed over: a crash or an editor may have left them.
std::optional<GemmAlgorithm> choice_in(const std::string& line, const GemmKey& key) {
    GemmChoices choices;
    add_line(choices, line);
    const auto it = choices.find(key);
    return it == choices.end() ? std::nullopt : std::optional(it->second);
}

}  // namespace

std::filesystem::path gemm_cache_path() {
    const auto folder = cache_folder();
    return folder.empty() ? folder : folder / ("gemm-" + gemm_machine() + ".txt");
}

std::optional<GemmAlgorithm> GemmCacheFile::find_or_time(const GemmKey& key,
                                                         const std::function<GemmAlgorithm()>& time) {
    const auto line = file_.find_or_time([&](const std::string& l) { return choice_in(l, key).has_value(); },
                                         [&] { return std::optional(to_line(key, time())); });
    return line ? choice_in(*line, key) : std::nullopt;
}

}  // namespace sluice
