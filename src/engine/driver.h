// The GPUs of this machine and their driver. The driver's C interface is taken from libcuda.so.1 at run time: programs
// are linked to nothing of CUDA.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace sluice {

constexpr int kLeastCapability = 80;  // that kernels are compiled for: A100

struct Gpu {
    std::string name;    // "NVIDIA H200"
    int capability = 0;  // 90: sm_90
    std::string id;      // the same for all processes of a machine
};

struct Driver {
    bool installed = false;
    int cuda = 0;           // the newest release of CUDA that it runs, 13000 for 13.0; 0: not known
    std::vector<Gpu> gpus;  // in the order of their indices; CUDA_VISIBLE_DEVICES may hide some
    std::string why;        // there are none, and what to do; empty where there are some
};
// Asks the driver, once; a millisecond where none is installed.
const Driver& driver();

// Why a driver's call fails, and what to do. name: of the error, as the driver calls it; devices: where the machine has
// its device files.
std::string driver_error(int error, const std::string& name, const std::filesystem::path& devices = "/dev");

}  // namespace sluice
