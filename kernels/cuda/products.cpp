#include "kernels/cuda/products.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <set>

#include "base/check.h"
#include "base/hash.h"
#include "base/machine.h"
#include "kernels/autotune.h"
#include "kernels/choice_file.h"
#include "kernels/cuda/prim/host.h"
#include "kernels/cuda/prim/timer.h"
#include "kernels/cuda/product_plan.h"
#include "kernels/memory.h"

namespace sluice {
namespace {

using Algorithm = cublasLtMatmulAlgo_t;

constexpr int kRuns = 3;  // that are timed of each algorithm, of which the shortest counts, after one that loads it

const ProductLibrary& library_of(Stream stream) { return *static_cast<const ProductLibrary*>(stream.products); }

// Empty where there is no device: a CPU trains, though the engine was loaded.
const std::string& product_machine() {
    static const std::string machine = []() -> std::string {
        int device = 0;
        cudaDeviceProp properties{};
        if (cudaGetDevice(&device) != cudaSuccess || cudaGetDeviceProperties(&properties, device) != cudaSuccess)
            return "";
        Hash hash;
        hash.add(std::string(properties.name));
        hash.add(std::to_string(cublasLtGetVersion()));
        hash.add(std::to_string(kProductWorkspace));
        return "cublaslt-" + hash.hex().substr(0, 16);
    }();
    return machine;
}

std::filesystem::path choices_path() {
    const auto folder = cache_folder();
    return folder.empty() ? folder : folder / (product_machine() + ".txt");
}

// ---------------------------------------------------------------- timing
// Where products are timed that would add to c: c must not change. The stream's scratch memory, or more of the device's
// while it lives; null where there is not so much.
class TimedResult {
 public:
    TimedResult(Stream stream, const Product& p) {
        const size_t bytes = size_t((p.m - 1) * p.stride + p.n) * (p.result == Element::bf16 ? 2 : 4);
        data_ = stream.scratch;
        if (bytes > stream.scratch_bytes) {
            if (cudaMalloc(&allocated_, bytes) != cudaSuccess) {
                cudaGetLastError();  // forgotten: the product goes untimed
                allocated_ = nullptr;
            }
            data_ = allocated_;
        }
        if (data_) cuda_done(cudaMemsetAsync(data_, 0, bytes, handle_of(stream)), "zeros");
    }
    ~TimedResult() {
        if (allocated_) cudaFree(allocated_);
    }
    TimedResult(const TimedResult&) = delete;
    TimedResult& operator=(const TimedResult&) = delete;
    void* data() const { return data_; }

 private:
    void *data_ = nullptr, *allocated_ = nullptr;
};

// The fastest of the candidates, or nothing where there is no memory to time them in, or none ran.
std::optional<Algorithm> fastest(Stream stream, const ProductPlan& plan, const Product& p,
                                 const std::vector<Algorithm>& candidates) {
    void *c = p.c, *base = const_cast<void*>(p.base);
    std::optional<TimedResult> elsewhere;
    if (p.base == p.c) {
        elsewhere.emplace(stream, p);
        if (!elsewhere->data()) return {};
        c = base = elsewhere->data();
    }
    Timer timer(handle_of(stream));
    std::optional<Algorithm> best;
    float least = std::numeric_limits<float>::infinity();
    for (const Algorithm& algorithm : candidates) {
        bool runs = true;
        const auto run = [&] {
            runs = runs &&
                   plan.queue(library_of(stream), handle_of(stream), algorithm, p, c, base) == CUBLAS_STATUS_SUCCESS;
        };
        for (int i = 0; i <= kRuns; i++)
            if (const float time = timer.milliseconds(run); runs && i > 0 && time < least)
                least = time, best = algorithm;
    }
    return best;
}

// ---------------------------------------------------------------- choices
// All members are used under the mutex, and it is held while a product is timed: ranks may be threads of one process,
// and these too must neither choose differently nor disturb a timing.
class ProductAutotuner final : public Autotuner {
 public:
    const std::string& machine() const override { return product_machine(); }
    std::set<std::string> export_lines() const override;
    void import_lines(const std::set<std::string>& lines) override;

    // What to queue a product with.
    struct Chosen {
        const ProductPlan* plan;
        std::optional<Algorithm> algorithm;  // null: the library has none
    };
    Chosen choose(Stream stream, const Product& p);

 private:
    struct Known {
        explicit Known(const ProductKey& key) : text(to_text(key)), plan(key) {}
        const std::string text;
        const ProductPlan plan;
        std::vector<Algorithm> candidates;
        std::optional<Algorithm> algorithm;  // in use
        bool settled = false;                // it will not change, unless choices are imported
    };
    Known& known(const ProductLibrary& library, const ProductKey& key);
    void look_up(const ProductLibrary& library, Known& k);
    void time(Stream stream, const Product& p, Known& k);
    void settle(Known& k, const Algorithm& algorithm);

    mutable std::mutex mutex_;
    std::map<ProductKey, Known> products_;     // that were met
    std::map<std::string, Algorithm> chosen_;  // by the text of a key: used or imported
    ChoiceFile file_{choices_path};
};

std::set<std::string> ProductAutotuner::export_lines() const {
    const std::lock_guard lock(mutex_);
    std::set<std::string> lines;
    for (const auto& [key, algorithm] : chosen_) lines.insert(to_line(key, algorithm));
    return lines;
}

void ProductAutotuner::import_lines(const std::set<std::string>& lines) {
    const std::lock_guard lock(mutex_);
    for (const std::string& line : lines)
        if (const auto choice = parse_choice(line)) chosen_[choice->key] = choice->algorithm;
    for (auto& [key, known] : products_) known.settled = false;
}

ProductAutotuner::Known& ProductAutotuner::known(const ProductLibrary& library, const ProductKey& key) {
    const auto [it, is_new] = products_.try_emplace(key, key);
    Known& k = it->second;
    if (is_new) k.candidates = k.plan.candidates(library);
    if (is_new && !k.candidates.empty()) k.algorithm = k.candidates.front();
    return k;
}

// Takes a choice that this process has. One that the library refuses is forgotten.
void ProductAutotuner::look_up(const ProductLibrary& library, Known& k) {
    const auto it = chosen_.find(k.text);
    if (it == chosen_.end()) return;
    if (k.plan.may_run(library, it->second))
        settle(k, it->second);
    else
        chosen_.erase(it);
}

void ProductAutotuner::settle(Known& k, const Algorithm& algorithm) {
    chosen_[k.text] = algorithm;
    k.algorithm = algorithm;
    k.settled = true;
}

// Settles it: by what the file says or what timing finds, else by what serves untimed.
void ProductAutotuner::time(Stream stream, const Product& p, Known& k) {
    const auto choice_in = [&](const std::string& line) -> std::optional<Algorithm> {
        const auto choice = parse_choice(line);
        if (!choice || choice->key != k.text || !k.plan.may_run(library_of(stream), choice->algorithm)) return {};
        return choice->algorithm;
    };
    const auto line = file_.find_or_time([&](const std::string& l) { return choice_in(l).has_value(); },
                                         [&]() -> std::optional<std::string> {
                                             const auto best = fastest(stream, k.plan, p, k.candidates);
                                             return best ? std::optional(to_line(k.text, *best)) : std::nullopt;
                                         });
    settle(k, line ? *choice_in(*line) : k.candidates.front());
}

ProductAutotuner::Chosen ProductAutotuner::choose(Stream stream, const Product& p) {
    std::unique_lock lock(mutex_);
    Known& k = known(library_of(stream), key_of(p));
    if (!k.settled) look_up(library_of(stream), k);
    if (!k.settled && !k.candidates.empty() && AutotuneScope::active() && !is_captured(handle_of(stream))) {
        // What is queued before must not wait for a rank that waits for the mutex or the file.
        lock.unlock();
        cuda_done(cudaStreamSynchronize(handle_of(stream)), "the device");
        lock.lock();
        if (!k.settled) time(stream, p, k);
    }
    return {&k.plan, k.algorithm};
}

ProductAutotuner autotuner;  // which joins before main()

// ---------------------------------------------------------------- what the library cannot do
void tell_of_own(const Product& p) {
    const ProductKey key = key_of(p);
    const std::string kind = {key.a_transposed ? 't' : 'n', key.b_transposed ? 't' : 'n', char('0' + int(key.element)),
                              char('0' + int(key.result)), char('0' + int(key.into))};
    warn_once("product " + kind,
              "cuBLASLt has no algorithm for " + to_text(key) + ": our own kernels make it and its like, slower");
}

}  // namespace

void* open_products() {
    auto library = std::make_unique<ProductLibrary>();
    const cublasStatus_t status = cublasLtCreate(&library->handle);
    if (status != CUBLAS_STATUS_SUCCESS) fail(Exit::other, std::string("cuBLASLt: ") + cublasLtGetStatusString(status));
    const cudaError_t error = cudaMalloc(&library->workspace, kProductWorkspace);
    if (error != cudaSuccess) {
        cudaGetLastError();  // forgotten: it is told here
        cublasLtDestroy(library->handle);
        if (error == cudaErrorMemoryAllocation)
            fail_out_of_memory(kProductWorkspace, "the products of a stream", memory_of<Cuda<float>>());
        cuda_done(error, "device memory");
    }
    return library.release();
}

void close_products(void* products) {
    const std::unique_ptr<ProductLibrary> library(static_cast<ProductLibrary*>(products));
    if (!library) return;
    cudaFree(library->workspace);
    cublasLtDestroy(library->handle);
}

bool multiply_by_library(Stream stream, const Product& p) {
    if (!stream.products) return false;
    const auto [plan, algorithm] = autotuner.choose(stream, p);
    const cublasStatus_t status = algorithm
                                      ? plan->queue(library_of(stream), handle_of(stream), *algorithm, p, p.c, p.base)
                                      : CUBLAS_STATUS_NOT_SUPPORTED;
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) {
        tell_of_own(p);
        return false;
    }
    if (status != CUBLAS_STATUS_SUCCESS)
        fail(Exit::other, "cuBLASLt: " + to_text(key_of(p)) + ": " + cublasLtGetStatusString(status));
    return true;
}

}  // namespace sluice
