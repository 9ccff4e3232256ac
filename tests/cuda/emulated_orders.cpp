#include "cuda/orders.h"
#include "kernels/emu/emu.h"

namespace sluice {

void set_thread_order(int order) {
    emu::options().order = order == 0 ? emu::Order::forward : order == 1 ? emu::Order::reverse : emu::Order::seeded;
    emu::options().seed = uint64_t(order);
}

}  // namespace sluice
