#include "plan/gpu.h"

#include <algorithm>
#include <cctype>

#include "kernels/stream_bytes.h"

namespace sluice {

namespace {
constexpr double kMiB = 1 << 20, kGiB = 1 << 30;
}

// Peaks: the vendor's data sheets, dense, SXM.
// Memory: what nvidia-smi lists. A process is offered a little less, see device_reserve(). A100 and H100
// github.com/modal-labs/modal-client/pull/2797, H200 143771 MiB, B200 github.com/NVIDIA/TensorRT-LLM/issues/10278.
// Bandwidth: a copy measured on an H200; the other GPUs in proportion to their data sheets.
// Link: NCCL's protocol reaches 370 of the H100's 450 GB/s in a ring (github.com/NVIDIA/nccl-tests/issues/212); the
// other GPUs in proportion to their data sheets.
// Network: 400 Gb/s per GPU, of which NCCL reaches 46 to 48 GB/s (github.com/NVIDIA/nccl-tests/issues/290), 370 GB/s
// for the eight GPUs of a node; A100 nodes have 200 Gb/s per GPU.
const std::vector<GpuFigures>& gpus() {
    static const std::vector<GpuFigures> all{
        {"a100", 312e12, 19.5e12, 81920 * kMiB, 1.8e12, 250e9, 23.125e9},
        {"h100", 989.4e12, 67e12, 81559 * kMiB, 3.0e12, 370e9, 46.25e9},
        {"h200", 989.4e12, 67e12, 143771 * kMiB, 4.3e12, 370e9, 46.25e9},
        {"b200", 2250e12, 80e12, 183359 * kMiB, 7.1e12, 740e9, 46.25e9},
    };
    return all;
}

const GpuFigures* find_gpu(const std::string& name) {
    for (const GpuFigures& gpu : gpus())
        if (name == gpu.name) return &gpu;
    return nullptr;
}

double peak_rate(const std::string& device, Precision precision) {
    std::string words = " ";
    for (const char c : device) words += std::isalnum(static_cast<unsigned char>(c)) ? char(std::tolower(c)) : ' ';
    words += ' ';
    const auto has = [&](const std::string& word) { return words.find(" " + word + " ") != words.npos; };
    if (has("pcie") || has("nvl")) return 0;
    for (const GpuFigures& gpu : gpus())
        if (has(gpu.name)) return gpu.peak(precision);
    return 0;
}

// Context: of the 79.65 GiB that an H100 lists a process is offered 79.1 (github.com/vllm-project/vllm/issues/27508),
// and kernels are loaded into these. NCCL: 688 MiB per group of more than two ranks
// (github.com/NVIDIA/nccl/issues/964), and 3.3 GB more for an all-to-all on 8 H100 (issues/1685).
DeviceReserve device_reserve(const MeshCoord& coord, int64_t replicas) {
    DeviceReserve reserve{1.0 * kGiB, 0, double(kDeviceStreams)};
    const bool tensor = coord.tensor > 1, data = coord.data > 1;
    int groups = int(tensor) + int(data);
    if (replicas > 1 && replicas < coord.tensor) groups++;
    // Expert group and expert_data group; with expert == data one is the data group and the other a single rank.
    if (coord.expert > 1 && coord.expert < coord.data) groups += 2;
    reserve.nccl = groups * 688 * kMiB + (coord.expert > 1 ? 3.3e9 : 0);
    return reserve;
}

// `stride` groups alternate within a run of size * stride ranks: k counts runs, o the groups of one. The pattern of
// groups on nodes of N GPUs repeats after N runs, and after N groups of a run.
int64_t members_of_a_node(const RankGroup& g) {
    constexpr int64_t N = kGpusPerNode;
    int64_t fewest = g.size;
    for (int64_t k = 0; k < N && k * g.size * g.stride < g.ranks; k++)
        for (int64_t o = 0; o < std::min(g.stride, N); o++) {
            const int64_t first = k * g.size * g.stride + o, last = first + (g.size - 1) * g.stride;
            if (first / N == last / N) continue;
            // Count its ranks on the first node, from `first` up, and on the last, from `last` down. Over all groups,
            // no node between them has fewer.
            fewest = std::min({fewest, (N - 1 - first % N) / g.stride + 1, last % N / g.stride + 1});
        }
    return fewest;
}

double ring_rate(const GpuFigures& gpu, const RankGroup& g) {
    const int64_t members = members_of_a_node(g);
    return members == g.size ? gpu.link : std::min(gpu.link, double(members) * gpu.network);
}

double all_to_all_seconds(const GpuFigures& gpu, const RankGroup& g, double bytes) {
    const double size = double(g.size), members = double(members_of_a_node(g));
    const double inside = bytes * (members - 1) / size / (gpu.link * kAllToAllShare);
    return std::max(inside, bytes * (size - members) / size / gpu.network);
}

}  // namespace sluice
