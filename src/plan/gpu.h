// GPUs and the network between them, as a small table of figures: what memory a process has, and how fast a group of
// ranks sends. Every figure that a plan uses is printed with it.
#pragma once
#include <string>
#include <vector>

#include "config/specs.h"
#include "parallel/mesh.h"

namespace sluice {

// Rates are what good kernels reach, per GPU; see gpus() in gpu.cpp for where they come from.
struct GpuFigures {
    const char* name;
    double peak_bf16, peak_fp32;  // FLOP/s, dense; fp32 without tensor cores (no TF32)
    double memory;                // bytes of the card
    double bandwidth;             // bytes/s of memory, as a copy reaches
    double link;                  // bytes/s that a GPU sends to GPUs of its node, as ring collectives reach
    double network;               // bytes/s of a network adapter, of which every GPU has one
    double peak(Precision p) const { return p == Precision::bf16 ? peak_bf16 : peak_fp32; }
};
const std::vector<GpuFigures>& gpus();
const GpuFigures* find_gpu(const std::string& name);  // null: not known

constexpr int64_t kGpusPerNode = 8;
// Of a link's rate, what an all-to-all within a node reaches.
constexpr double kAllToAllShare = 0.8;

// What a process takes beside what it allocates for training: an allowance, in bytes.
struct DeviceReserve {
    double context = 0;     // the driver's own part, the CUDA context and loaded kernels
    double nccl = 0;        // buffers of NCCL's communicators, one for each different group of ranks
    double workspaces = 0;  // of libraries: products, attention's backward
    double total() const { return context + nccl + workspaces; }
};
DeviceReserve device_reserve(const MeshCoord& coord, int64_t replicas);

// A group of a mesh: `size` ranks, `stride` apart, of a launch of `ranks`. Ranks fill nodes in order.
struct RankGroup {
    int64_t size, stride, ranks;
};
// How many of a group share a node: the fewest of any node that it touches (the whole group within one).
int64_t members_of_a_node(const RankGroup& group);
// Bytes/s that each rank sends around a ring: within a node the link's; across nodes no more than the adapters of the
// group's GPUs of a node carry together, since a ring enters and leaves a node once for each.
double ring_rate(const GpuFigures& gpu, const RankGroup& group);
// Seconds in which a rank hands `bytes`, evenly, to all ranks of a group: over the link to its node's, through its own
// adapter to the others.
double all_to_all_seconds(const GpuFigures& gpu, const RankGroup& group, double bytes);

}  // namespace sluice
