// A rank that communicates by NCCL's stand-in, and numbers in device memory.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/emu/emu.h"
#include "kernels/emu/nccl.h"
#include "model/device_groups.h"

namespace sluice {

inline ParallelSpec parallel(double timeout = 600, Communicator communicator = Communicator::nccl) {
    ParallelSpec spec;
    spec.communicator = communicator;
    spec.timeout = timeout;
    return spec;
}

class NcclGroups : public testing::Test {
 protected:
    NcclGroups() { emu::options() = {}; }
    ~NcclGroups() override { emu::options() = {}; }
};

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

// Numbers in device memory.
template <class T>
class Numbers {
 public:
    Numbers(Stream stream, const std::vector<T>& values) : stream_(stream), count_(values.size()) {
        p_ = static_cast<T*>(memory().allocate(count_ * sizeof(T)));
        memory().to_device(stream_, p_, values.data(), count_ * sizeof(T));
    }
    ~Numbers() { memory().free(p_); }
    Numbers(const Numbers&) = delete;
    T* data() const { return p_; }
    std::vector<T> values() const {
        std::vector<T> values(count_);
        memory().to_host(stream_, values.data(), p_, count_ * sizeof(T));
        memory().wait(stream_);
        return values;
    }

 private:
    static Memory& memory() { return memory_of<Cuda<float>>(); }
    Stream stream_;
    size_t count_;
    T* p_;
};

// A rank with a mesh, and a stream that its groups follow.
struct Seat {
    explicit Seat(Comm& world, const MeshShape& shape = {}, const ParallelSpec& spec = parallel())
        : mesh(world, shape, memory_of<Cuda<float>>(), device_groups<Cuda<float>>(world, spec)) {
        mesh.stream = stream.get();
    }
    Numbers<float> numbers(const std::vector<float>& values) const { return {stream.get(), values}; }
    void wait() const { memory_of<Cuda<float>>().wait(stream.get()); }

    StreamOwner<Cuda<float>> stream;
    Mesh mesh;
};

}  // namespace sluice
