// The libraries that multiply on a CPU.
#include <blis.h>
#include <dnnl.h>

#include <string>

#include "kernels/capability.h"

namespace sluice {

template <class B>
std::string libraries() {
    const dnnl_version_t& dnnl = *dnnl_version();
    return "oneDNN " + std::to_string(dnnl.major) + "." + std::to_string(dnnl.minor) + "." +
           std::to_string(dnnl.patch) + ", BLIS " + bli_info_get_version_str();
}

template <class B>
int built_with_cuda() {
    return 0;
}

template <class B>
void use_device(int, bool) {}

#define INSTANTIATE(B)                   \
    template std::string libraries<B>(); \
    template int built_with_cuda<B>();   \
    template void use_device<B>(int, bool);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
