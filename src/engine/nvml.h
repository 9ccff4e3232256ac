// What NVIDIA's management library knows of a GPU at work. Its C interface is taken from libnvidia-ml.so.1 at run time.
#pragma once
#include <optional>
#include <string>

namespace sluice {

struct GpuState {
    int clock = 0, most_clock = 0;  // MHz of the multiprocessors: at the moment, and at most
    double watts = 0;               // at the moment
    int celsius = 0;
};
// id: the 16 bytes of Gpu::id. Nothing where the library is not installed, or does not know.
std::optional<GpuState> gpu_state(const std::string& id);

// "GPU-0a1b2c3d-...": how NVIDIA's tools write such bytes.
std::string uuid_text(const std::string& id);

}  // namespace sluice
