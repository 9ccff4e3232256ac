// Figures of GPUs and of the network between them, and what follows from these: the memory that a process may use, and
// how fast a group of ranks communicates. A plan prints every figure that it uses.
#pragma once
#include <string>
#include <vector>

#include "config/specs.h"
#include "parallel/mesh.h"

namespace sluice {

// Rates per GPU that good kernels reach. gpus() in gpu.cpp names the sources.
struct GpuFigures {
    const char* name;
    double peak_bf16, peak_fp32;  // FLOP/s, dense; fp32 without tensor cores (no TF32)
    double memory;                // bytes of memory
    double bandwidth;             // bytes/s of memory that a copy reaches
    double link;                  // bytes/s from one GPU to the GPUs of its node that ring collectives reach
    double network;               // bytes/s of one network adapter; every GPU has one
    double peak(Precision p) const { return p == Precision::bf16 ? peak_bf16 : peak_fp32; }
};
const std::vector<GpuFigures>& gpus();
const GpuFigures* find_gpu(const std::string& name);  // null: unknown
// FLOP/s of a device by its data sheet, dense; device: as its driver calls it, "NVIDIA H200". 0: not among gpus(), or
// of another form (PCIe, NVL), whose figures are others.
double peak_rate(const std::string& device, Precision precision);

constexpr int64_t kGpusPerNode = 8;
// The part of a link's rate that an all-to-all within a node reaches.
constexpr double kAllToAllShare = 0.8;

// Bytes that a process is expected to need beside the tensors.
struct DeviceReserve {
    double context = 0;     // driver, CUDA context and loaded kernels
    double nccl = 0;        // buffers of NCCL's communicators, one per different group of ranks
    double workspaces = 0;  // of streams: scratch memory, GEMMs; kDeviceStreams
    double total() const { return context + nccl + workspaces; }
};
DeviceReserve device_reserve(const MeshCoord& coord, int64_t replicas);

// One kind of group of a mesh: `size` ranks, `stride` apart, in a launch of `ranks`. Ranks fill nodes in order.
struct RankGroup {
    int64_t size, stride, ranks;
};
// How many ranks of a group are on the same node, on the node with the fewest of them; `size` where every group is
// within one.
int64_t members_of_a_node(const RankGroup& group);
// Bytes/s that each rank sends around a ring. Within a node that is the link's rate. Across nodes the adapters of the
// group's GPUs on one node limit it together: there are as many rings, and each leaves the node through one adapter.
double ring_rate(const GpuFigures& gpu, const RankGroup& group);
// Seconds in which a rank sends `bytes`, evenly, to all ranks of a group: over the link to those of its node, through
// its own adapter to the others.
double all_to_all_seconds(const GpuFigures& gpu, const RankGroup& group, double bytes);

}  // namespace sluice
