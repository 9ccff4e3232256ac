// Which device a thread computes on, and what the engine is built with.
#include <string>

#include "base/check.h"
#include "kernels/capability.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/nccl_library.h"
#include "kernels/cuda/prim/cublaslt.h"
#include "kernels/cuda/prim/op.h"
#include "kernels/cuda/prim/runtime.h"
#include "kernels/nccl.h"

namespace sluice {
namespace {

std::string cublas_version_text(size_t version) {  // 130100: "13.1.0"
    return std::to_string(version / 10000) + "." + std::to_string(version % 10000 / 100) + "." +
           std::to_string(version % 100);
}

// Of the library that a run of several ranks would load, which is loaded for it; or why there is none.
std::string nccl_found() {
    const NcclLibrary& nccl = nccl_library();
    int version = 0;
    if (!nccl.why.empty()) return "; " + nccl.why;
    return nccl.GetVersion(&version) == ncclSuccess ? ", NCCL " + nccl_version_text(version) : "; NCCL has no version";
}

}  // namespace

template <class B>
std::string libraries() {
    if (kEmulated) return "kernels for GPUs, emulated on the host";
    return "CUDA " + cuda_text(CUDART_VERSION) + ", cuBLASLt " + cublas_version_text(cublasLtGetVersion()) +
           ", cuDNN " + cudnn_version() + nccl_found();
}

template <class B>
int built_with_cuda() {
    return kEmulated ? 0 : CUDART_VERSION;
}

template <class B>
void use_device(int index, bool synchronous) {
    synchronise_launches(synchronous);
    const cudaError_t error = cudaSetDevice(index);
    if (error == cudaSuccess) return;
    cudaGetLastError();  // forgotten: it is told here
    const std::string gpu = "GPU " + std::to_string(index);
    if (error == cudaErrorMemoryAllocation)
        fail(Exit::out_of_memory, "out of memory: other programs have all of " + gpu +
                                      "'s: end those that nvidia-smi lists, or name another GPU by "
                                      "CUDA_VISIBLE_DEVICES");
    if (error == cudaErrorDevicesUnavailable)
        fail(Exit::config, gpu + " is another program's alone: end it, or `nvidia-smi -c DEFAULT`");
    fail(Exit::config, gpu + " cannot be used: " + cudaGetErrorString(error) + ": see what nvidia-smi says");
}

#define INSTANTIATE(B)                   \
    template std::string libraries<B>(); \
    template int built_with_cuda<B>();   \
    template void use_device<B>(int, bool);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
