// Op::launch under emulation.
#pragma once
#include <functional>
#include <string>
#include <typeinfo>

#include "kernels/cuda/prim/op.h"

namespace sluice::emu {

struct Launch {
    std::function<std::string()> op;  // its name and shape
    const std::type_info* kernel = nullptr;
    int threads = 0;  // of a block
    LaunchShape shape;
    int64_t shared_limit = 0;    // bytes a block may have, static and dynamic
    std::function<void()> body;  // of one thread
};
void queue(void* stream, Launch launch);

}  // namespace sluice::emu

namespace sluice {

template <class K>
void Op::launch(const K& kernel, const LaunchShape& shape) const {
    if (!check(typeid(K), K::kThreads, shape)) return;
    const auto op = [label = label_] { return label.text(); };
    const int64_t limit = shape.shared > kSharedWithoutOptIn ? kMostShared : kSharedWithoutOptIn;
    emu::queue(stream_.handle, {op, &typeid(K), K::kThreads, shape, limit, kernel});
    queued(typeid(K));
}

}  // namespace sluice
