// The GPU, its driver, and what the engine is linked to.
#include "base/format.h"
#include "engine/driver.h"
#include "gpu/rows.h"
#include "kernels/capability.h"
#include "kernels/memory.h"

namespace sluice {
namespace {

using B = Cuda<float>;
bool emulated() { return built_with_cuda<B>() == 0; }

Outcome device(Sizes) {
    const std::string lacks = emulated() ? "" : driver().why;
    if (!lacks.empty()) return {Outcome::fail, lacks, {}};
    std::string name = device_name<B>();
    if (!emulated()) {
        const Gpu& gpu = driver().gpus.front();
        if (gpu.capability < kLeastCapability)
            return {Outcome::fail,
                    gpu.name + " is sm_" + std::to_string(gpu.capability) + ", and sm_80 (A100) or later is needed",
                    {}};
        name = gpu.name + ", sm_" + std::to_string(gpu.capability) + ", 1 of " + std::to_string(driver().gpus.size());
    }
    use_device<B>(0, false);
    const Room room = memory_of<B>().room(1);
    return {Outcome::pass,
            name + ", " + format_bytes(double(room.free)) + " of " + format_bytes(double(room.total)) + " free",
            {{"bytes_total", double(room.total)}, {"bytes_free", double(room.free)}}};
}

Outcome driver_row(Sizes) {
    if (emulated()) return {Outcome::not_run, "the emulated engine needs no driver", {}};
    const int needed = built_with_cuda<B>() / 1000 * 1000;
    const Driver& has = driver();
    const std::string said = "for CUDA " + cuda_text(has.cuda) + "; the engine needs " + cuda_text(needed);
    if (has.cuda < needed)
        return {Outcome::fail, has.cuda > 0 ? said + ": install driver release 580 or later" : has.why, {}};
    return {Outcome::pass, said, {{"cuda", double(has.cuda)}}};
}

}  // namespace

std::vector<Row> device_rows() {
    return {{"device", device},
            {"driver", driver_row},
            {"libraries", [](Sizes) {
                 return Outcome{Outcome::pass, libraries<B>() + "; CPU: " + libraries<Cpu<float>>(), {}};
             }}};
}

}  // namespace sluice
