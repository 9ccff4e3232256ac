// The emulated engine, which says that it is built with CUDA 13.0 and so needs a driver and GPUs.
#include <string>

#include "kernels/capability.h"

namespace sluice {

// The linker takes this and leaves the library's own, which is a template.
template <>
int built_with_cuda<Cuda<float>>() {
    return 13000;
}

}  // namespace sluice
