// All that the suite asks of what runs its kernels, beside CUDA's runtime: so the same objects are linked to the
// emulator and to an engine for GPUs.
#pragma once

namespace sluice {

// In which order threads of a block, blocks of a grid and streams take turns. Of the emulator 0: forward; 1: in
// reverse; others seed an order. A GPU has its own, another one each time.
void set_thread_order(int order);

}  // namespace sluice
