// Prints cuDNN's plans for attention on devices whose properties JSON files give: no GPU is needed, as none is run.
//
// usage: cudnn_plans DEVICE.json ...
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "kernels/attention_workspace.h"
#include "kernels/cuda/attention_plan.h"

using namespace sluice;

namespace {

constexpr int64_t kSequences = 2, kLength = 4096, kHeads = 16;

// Returns whether the plan is there, in no more workspace than is counted for it.
bool print(const std::string& name, const CudnnDescriptor& device, AttentionPass pass, const AttentionShape& n) {
    const int64_t width = (n.heads + 2 * n.kv_heads) * n.dim + 64;
    const bool backward = pass == AttentionPass::backward;
    const int64_t d = backward ? width : 0;
    const AttentionKey key{pass, n, n.heads, {width, width, width, d, d, d}};
    std::printf("%-6s %-8s %4lld %6lld %6lld ", name.c_str(), backward ? "backward" : "forward", (long long)n.dim,
                (long long)n.kv_heads, (long long)n.window);
    try {
        const AttentionPlan plan(key, device, int64_t{1} << 40);
        const auto most =
            backward ? int64_t(attention_workspace_bound(n.sequences, n.heads, n.length, n.dim)) : 1 << 20;
        std::printf("%6lld %10lld\n", (long long)plan.engine(), (long long)plan.workspace());
        if (plan.workspace() <= most) return true;
        std::printf("its workspace is counted as %lld bytes\n", (long long)most);
    } catch (const CudnnError& error) { std::printf("none: %s\n", error.what()); }
    return false;
}

}  // namespace

int main(int count, char** files) {
    bool all = true;
    try {
        std::printf("cuDNN %zu\n%-6s %-8s %4s %6s %6s %6s %10s\n", cudnnGetVersion(), "device", "pass", "dim", "kv",
                    "window", "engine", "workspace");
        for (int i = 1; i < count; i++) {
            std::ifstream file(files[i]);
            const std::string json((std::istreambuf_iterator<char>(file)), {});
            const CudnnDescriptor device = cudnn_device(json);
            const std::string name = std::filesystem::path(files[i]).stem().string();
            for (int64_t dim = kLibraryDims; dim <= kMostLibraryDim; dim += kLibraryDims)
                for (const int64_t window : {0, 512})
                    for (const int64_t kv_heads : {kHeads / 2, kHeads})
                        for (const AttentionPass pass : {AttentionPass::forward, AttentionPass::backward})
                            if (kv_heads < kHeads || dim == kMostLibraryDim)
                                all &=
                                    print(name, device, pass, {kSequences, kLength, kHeads, kv_heads, dim, window, 1});
        }
    } catch (const std::exception& error) {
        std::printf("%s\n", error.what());
        all = false;
    }
    return all ? 0 : 1;
}
