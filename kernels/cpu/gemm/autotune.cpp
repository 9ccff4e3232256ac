#include "kernels/cpu/gemm/autotune.h"

#include <oneapi/dnnl/dnnl.h>

#include <mutex>

#include "base/hash.h"
#include "base/machine.h"
#include "kernels/autotune.h"
#include "kernels/cpu/gemm/blis_gemm.h"
#include "kernels/cpu/gemm/cache_file.h"

namespace sluice {
namespace {

constexpr double kWorthTiming = 1 << 26;  // FLOPs: half a millisecond on two AVX2 cores

// All members are used under the mutex, and it is held while a GEMM is timed: ranks may be threads of one process, and
// these too must neither choose differently nor disturb a timing.
class GemmAutotuner final : public Autotuner {
 public:
    const std::string& machine() const override { return gemm_machine(); }
    std::set<std::string> export_lines() const override;
    void import_lines(const std::set<std::string>& lines) override;
    GemmAlgorithm choose(const GemmShape& shape, int threads, const std::function<GemmAlgorithm()>& time_all);

 private:
    GemmAlgorithm use(const GemmKey& key, GemmAlgorithm algorithm) { return used_[key] = algorithm; }

    mutable std::mutex mutex_;
    GemmChoices used_;  // or imported
    GemmCacheFile file_;
};

std::set<std::string> GemmAutotuner::export_lines() const {
    const std::lock_guard lock(mutex_);
    std::set<std::string> lines;
    for (const auto& [key, algorithm] : used_) lines.insert(to_line(key, algorithm));
    return lines;
}

void GemmAutotuner::import_lines(const std::set<std::string>& lines) {
    const std::lock_guard lock(mutex_);
    for (const std::string& line : lines) add_line(used_, line);
}

GemmAlgorithm GemmAutotuner::choose(const GemmShape& shape, int threads,
                                    const std::function<GemmAlgorithm()>& time_all) {
    const GemmKey key = key_of(shape, threads);
    const GemmAlgorithm untimed = untimed_algorithm(shape);
    const std::lock_guard lock(mutex_);
    if (const auto known = used_.find(key); known != used_.end()) return known->second;
    if (!AutotuneScope::active()) return untimed;
    if (shape.flops() >= kWorthTiming) return use(key, file_.find_or_time(key, time_all).value_or(untimed));
    return shape.ragged ? untimed : use(key, untimed);  // another one of as many rows, rounded, may be worth timing
}

GemmAutotuner autotuner;  // which joins before main()

std::string hash_machine() {
    Hash hash;
    hash.add(processor());
    hash.add(std::string(dnnl_version()->hash));
    hash.add(std::to_string(dnnl_get_effective_cpu_isa()));
    hash.add(blis_version());
    return hash.hex().substr(0, 16);
}

}  // namespace

GemmAlgorithm autotuned_algorithm(const GemmShape& shape, int threads, const std::function<GemmAlgorithm()>& time_all) {
    return autotuner.choose(shape, threads, time_all);
}

GemmAlgorithm untimed_algorithm(const GemmShape& shape) {
    return shape.ragged ? GemmAlgorithm::onednn_sgemm : GemmAlgorithm::onednn_matmul;
}

const std::string& gemm_machine() {
    static const std::string machine = hash_machine();
    return machine;
}

}  // namespace sluice
