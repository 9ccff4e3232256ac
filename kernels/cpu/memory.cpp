#include "kernels/memory.h"

namespace sluice {

template <class B>
Memory& memory_of() {
    return host_memory();
}

#define INSTANTIATE(B) template Memory& memory_of<B>();
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
