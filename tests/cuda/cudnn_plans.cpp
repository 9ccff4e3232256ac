// Prints cuDNN's plans for attention on devices whose properties JSON files give: no GPU is needed, as none is run.
// Every kind is there: each dim with heads that share keys and that do not, without a window, with a short and with a
// long one. Each of these has one of four sizes, so that every dim has them all, and so has every other kind.
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

constexpr int64_t kHeads = 16, kShortWindow = 20;
constexpr struct { int64_t sequences, length; } kSizes[] = {{1, 128}, {8, 1024}, {2, 4096}, {1, 16384}};
constexpr int64_t kTooLong = 32768;  // no head's backward fits

// As a run makes it: backward of a chunk, where one fits. Returns whether the plan is there, in no more workspace than
// is counted for it.
bool print(const std::string& name, const CudnnDescriptor& device, AttentionPass pass, const AttentionShape& n) {
    const int64_t width = (n.heads + 2 * n.kv_heads) * n.dim + 64;
    const bool backward = pass == AttentionPass::backward;
    const int64_t d = backward ? width : 0;
    std::printf("%-6s %-8s %4lld %6lld %6lld %9lld %6lld ", name.c_str(), backward ? "backward" : "forward",
                (long long)n.dim, (long long)n.kv_heads, (long long)n.window, (long long)n.sequences,
                (long long)n.length);
    AttentionKey key{pass, n, n.heads, {width, width, width, d, d, d}};
    int64_t most = 1 << 20;
    if (backward) {
        const AttentionChunk chunk = attention_chunk(n);
        if (chunk.sequences == 0) {
            std::printf("own: one head's workspace is too large\n");
            return n.length == kTooLong;
        }
        key.n.sequences = chunk.sequences;
        key.n.heads = chunk.kv_heads * (n.heads / n.kv_heads);
        key.n.kv_heads = chunk.kv_heads;
        most = int64_t(chunk.bytes - kWorkspaceAligned);
    }
    try {
        const AttentionPlan plan(key, device, int64_t{1} << 40);
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
        std::printf("cuDNN %zu\n%-6s %-8s %4s %6s %6s %9s %6s %6s %10s\n", cudnnGetVersion(), "device", "pass", "dim",
                    "kv", "window", "sequences", "length", "engine", "workspace");
        for (int i = 1; i < count; i++) {
            std::ifstream file(files[i]);
            const std::string json((std::istreambuf_iterator<char>(file)), {});
            const CudnnDescriptor device = cudnn_device(json);
            const std::string name = std::filesystem::path(files[i]).stem().string();
            const auto both = [&](const AttentionShape& n) {
                for (const AttentionPass pass : {AttentionPass::forward, AttentionPass::backward})
                    all &= print(name, device, pass, n);
            };
            for (int64_t dim = kLibraryDims; dim <= kMostLibraryDim; dim += kLibraryDims)
                for (const int64_t groups : {0, 1})
                    for (const int64_t windows : {0, 1, 2}) {
                        const auto& size = kSizes[(dim / kLibraryDims + 2 * groups + windows) % 4];
                        const int64_t window = windows == 0 ? 0 : windows == 1 ? kShortWindow : size.length / 2;
                        both({size.sequences, size.length, kHeads, kHeads / (2 - groups), dim, window, 1});
                    }
            both({1, kTooLong, kHeads, kHeads, kMostLibraryDim, 0, 1});
        }
    } catch (const std::exception& error) {
        std::printf("%s\n", error.what());
        all = false;
    }
    return all ? 0 : 1;
}
