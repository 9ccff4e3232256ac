// Arrays in device memory, and what a launch says.
#pragma once
#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <vector>

#include "base/check.h"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/emu/emu.h"
#include "kernels/memory.h"

namespace sluice {

// Every test begins and ends with the emulator's own options.
class Emulator : public testing::Test {
 protected:
    Emulator() { emu::options() = {}; }
    ~Emulator() override {
        memory().close_stream(stream_);
        emu::options() = {};
    }
    Emulator(const Emulator&) = delete;

    static Memory& memory() { return memory_of<Cuda<float>>(); }
    Stream stream() const { return stream_; }

    // The message of the error that waiting for the stream meets, or "".
    std::string wait() {
        try {
            memory().wait(stream_);
            return "";
        } catch (const Failure& failure) { return failure.what(); }
    }
    template <class K>
    std::string run(const K& kernel, const LaunchShape& shape = {}) {
        try {
            Op("an_op", stream_, {{"rows", 3}}).launch(kernel, shape);
        } catch (const Failure& failure) { return failure.what(); }
        return wait();
    }

 private:
    const Stream stream_ = memory().open_stream();
};

template <class T>
class OnDevice {
 public:
    explicit OnDevice(const std::vector<T>& values) : count_(int64_t(values.size())) {
        p_ = static_cast<T*>(memory().allocate(values.size() * sizeof(T)));
        static std::mutex mutex;  // threads share the default stream, whose buffers of copies are for one at a time
        const std::lock_guard lock(mutex);
        memory().to_device({}, p_, values.data(), values.size() * sizeof(T));
        memory().wait({});
    }
    ~OnDevice() { memory().free(p_); }
    OnDevice(const OnDevice&) = delete;
    OnDevice& operator=(const OnDevice&) = delete;

    T* data() const { return p_; }
    std::vector<T> values(Stream stream = {}) const {
        std::vector<T> values(static_cast<size_t>(count_));
        memory().to_host(stream, values.data(), p_, values.size() * sizeof(T));
        memory().wait(stream);
        return values;
    }

 private:
    static Memory& memory() { return memory_of<Cuda<float>>(); }
    int64_t count_;
    T* p_;
};

}  // namespace sluice
