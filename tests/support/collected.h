// The state of a run on any mesh as whole tensors, for comparisons.
#pragma once
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "train/step.h"

namespace sluice {

using WholeTensors = std::map<std::string, std::vector<double>>;

// Whole tensors, put together from the rows that ranks answer for.
class Collected {
 public:
    template <class B>
    void add(Trainer<B>& trainer) {
        for (const StateTensor& t : trainer.state()) {
            if (t.dtype == dtype_of<double>())
                add(t, on_host<double>(t));
            else
                add(t, on_host<float>(t));
        }
    }
    void expect_once() const {
        for (const auto& [name, times] : times_)
            for (int n : times) ASSERT_EQ(n, 1) << name << ": an element that not exactly one rank answers for";
    }
    WholeTensors state;

 private:
    template <class X>
    static std::vector<X> on_host(const StateTensor& t) {
        std::vector<X> held(size_t(volume(t.box.shape)));
        t.memory->to_host(t.stream, held.data(), t.data, held.size() * sizeof(X));
        t.memory->wait(t.stream);
        return held;
    }
    template <class X>
    void add(const StateTensor& t, const std::vector<X>& held) {
        std::lock_guard lock(mutex_);
        const Box whole{std::vector<int64_t>(t.shape.size(), 0), t.shape};
        auto& values = state[t.name];
        auto& times = times_[t.name];
        values.resize(size_t(volume(t.shape)));
        times.resize(values.size());
        for_each_run(t.own, whole, t.box, [&](int64_t to, int64_t from, int64_t count) {
            for (int64_t i = 0; i < count; i++) {
                values[size_t(to + i)] = double(held[size_t(from + i)]);
                times[size_t(to + i)]++;
            }
        });
    }

    std::mutex mutex_;
    std::map<std::string, std::vector<int>> times_;
};

}  // namespace sluice
