// A kernel that uses every word of kernels/cuda/prim, for nvcc to compile and the emulator to run.
#pragma once
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"

namespace sluice {

DEVICE inline float twice_the_first(Global<const float> p) { return 2 * p[0]; }

// y (blocks, kThreads), x the same.
template <class T>
struct EveryWord {
    static constexpr int kThreads = 64;
    Global<T> y;
    Global<const T> x;
    Global<const float> none;

    DEVICE void operator()() const {
        constexpr int N = 4;
        SHARED(float, row, kThreads);
        SHARED(int64_t, count, 1);
        const int64_t block = block_x() + grid_x() * (block_y() + block_z());
        const Global<const T> in = x + block * kThreads;
        const Global<T> out = y + block * kThreads;
        if (thread() == 0) count[0] = 0;
        if (thread() < kThreads / N) {
            const Vec<T, N> v = load<N>(in + thread() * N);
            for (int i = 0; i < N; i++) row[thread() * N + i] = float(v[i]);
        }
        block_barrier();
        float v = row[thread()];
        v += shuffle_xor(v, 1) + shuffle_down(v, 1) + shuffle(v, 0);
        const uint32_t votes = ballot(v > 0);
        warp_barrier();
        if (lane() == 0 && warp() == 0) count[0] += int64_t(votes & 1);
        const double d = shuffle_xor(double(v), 2);
        const int32_t i = shuffle_xor(int32_t(v), 4);
        const int64_t l = shuffle_xor(int64_t(v), 8);
        v += float(d) + float(i) + float(l) + warp_sum(v) + warp_max(v);
        v += block_sum<kThreads>(v) + block_max<kThreads>(v);
        if (none) v += twice_the_first(none);
        const Shared<T> scratch = dynamic_shared<T>(16);
        scratch[thread()] = T(v);
        block_barrier();
        if (thread() < kThreads / N) store(out + thread() * N, load<N>(scratch + thread() * N));
        block_barrier();
        v = rsqrt(1 + v * v) + exponential(-v * v) + logarithm(1 + v * v) + tangent(0.f) + square_root(v * v);
        v += float(rsqrt(4.0) + exponential(0.0) + logarithm(1.0) + tangent(0.0) + square_root(4.0));
        v += Logistic{}(v) + float(Logistic{}(double(v))) + power(2.f, 3.f) + float(power(2.0, 3.0));
        out[thread()] = T(float(out[thread()]) + v + float(count[0]) + float(block_threads() - kWarp));
    }
};

}  // namespace sluice
