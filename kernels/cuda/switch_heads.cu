// Switch Heads: out = for each row and head, the sum over its top_k experts e of sigmoid(s_e) y_e.
//
// A team of `lanes` neighbouring threads, a power of two, takes a head of a row, and each of them a piece of N channels
// at a time. Of a team's scores, which lie in shared memory, each thread finds whether some are among the top_k. Only
// experts that are have their y read.
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/gate_math.h"
#include "kernels/top_k_math.h"

namespace sluice {
namespace {

constexpr int kBlock = 256;  // threads
constexpr float kNotChosen = -1;

// What both kernels do, and where a block keeps it in shared memory.
struct Teams {
    int64_t count;  // rows * heads
    int64_t heads, experts, dim, top_k;
    int lanes;

    // Teams of at least `least` lanes, and of more where a block has no room for the scores of so many.
    Teams(int64_t rows, int64_t heads_, int64_t experts_, int64_t dim_, int64_t top_k_, int least)
        : count(rows * heads_), heads(heads_), experts(experts_), dim(dim_), top_k(top_k_), lanes(least) {
        while (lanes < kWarp && bytes() > kMostShared / 2) lanes *= 2;
    }

    SLUICE_HD int64_t of_block() const { return kBlock / lanes; }
    SLUICE_HD int64_t bytes() const { return 2 * of_block() * experts * int64_t(sizeof(float)); }  // of shared memory

    DEVICE int64_t local() const { return thread() / lanes; }  // this thread's team, in its block
    DEVICE int rank() const { return thread() % lanes; }       // of this thread in its team
    DEVICE int64_t index() const { return block_x() * of_block() + local(); }
    DEVICE int64_t row() const { return index() / heads; }
    DEVICE int64_t head() const { return index() % heads; }
    DEVICE bool inside() const { return index() < count; }  // what is outside takes part in barriers and shuffles

    // (experts) each, of this thread's team.
    DEVICE Shared<float> scores() const { return dynamic_shared<float>(0) + local() * experts; }
    DEVICE Shared<float> weights() const { return dynamic_shared<float>(0) + (of_block() + local()) * experts; }

    // f(i, row, column): number i of the block's scores and its place, those of neighbouring threads side by side.
    template <class F>
    DEVICE void each_score(F f) const {
        for (int64_t i = thread(); i < of_block() * experts; i += kBlock) {
            const int64_t team = block_x() * of_block() + i / experts;
            if (team < count) f(i, team / heads, team % heads * experts + i % experts);
        }
    }

    // scores, and weights = sigmoid(score) of the chosen experts, kNotChosen of the others.
    template <class T>
    DEVICE void choose(const DeviceRows<const T>& s) const {
        const Shared<float> all = dynamic_shared<float>(0);
        each_score([&](int64_t i, int64_t row, int64_t column) { all[i] = float(s.row(row)[column]); });
        block_barrier();
        if (inside()) {
            const Shared<float> of_team = scores(), to = weights();
            const auto score = [&](int64_t e) -> float { return of_team[e]; };
            for (int64_t e = rank(); e < experts; e += lanes) {
                const bool chosen = in_top_k(score, experts, top_k, e);
                to[e] = chosen ? ActivationMath<Activation::sigmoid>::value(score(e), Logistic{}) : kNotChosen;
            }
        }
        warp_barrier();
    }
};

template <class T, int N>
struct SwitchForward {
    static constexpr int kThreads = kBlock;
    Global<T> out;
    DeviceRows<const T> y, s;
    Teams teams;

    DEVICE void operator()() const {
        teams.choose(s);
        if (!teams.inside()) return;
        const int64_t experts = teams.experts, dim = teams.dim;
        const Shared<float> weights = teams.weights();
        const Global<const T> of_head = y.row(teams.row()) + teams.head() * experts * dim;
        for (int64_t k = teams.rank() * N; k < dim; k += teams.lanes * N) {
            Vec<float, N> sum{};
            for (int64_t e = 0; e < experts; e++) {
                const float weight = weights[e];
                if (weight == kNotChosen) continue;
                const auto v = load<N>(of_head + e * dim + k);
                for (int i = 0; i < N; i++) sum[i] += weight * float(v[i]);
            }
            Vec<T, N> result;
            for (int i = 0; i < N; i++) result[i] = T(sum[i]);
            store(out + teams.index() * dim + k, result);
        }
    }
};

// dout is read once, and kept in shared memory; of a thread's own pieces, so that no barrier is needed.
template <class T, int N>
struct SwitchBackward {
    static constexpr int kThreads = kBlock;
    DeviceRows<T> dy, ds;
    Global<const T> dout;
    DeviceRows<const T> y, s;
    Teams teams;
    int64_t kept_at;  // bytes of shared memory before the kept dout, a multiple of 16

    DEVICE void operator()() const {
        teams.choose(s);
        const int64_t experts = teams.experts, dim = teams.dim;
        const Shared<T> kept = dynamic_shared<T>(kept_at) + teams.local() * dim;
        const bool inside = teams.inside();
        if (inside)
            for (int64_t k = teams.rank() * N; k < dim; k += teams.lanes * N)
                store(kept + k, load<N>(dout + teams.index() * dim + k));
        const Shared<float> scores = teams.scores(), weights = teams.weights();
        for (int64_t e = 0; e < experts; e++) {
            float sum = 0;  // of dout y_e
            if (inside) sum = expert(teams.head() * experts + e, kept, weights[e]);
            for (int mask = teams.lanes / 2; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
            // The gradient takes the place of the score, which only this thread reads from here on.
            if (!inside || teams.rank() > 0) continue;
            scores[e] = sum * ActivationMath<Activation::sigmoid>::slope(float(scores[e]), Logistic{});
        }
        block_barrier();
        const Shared<float> gradients = dynamic_shared<float>(0);
        teams.each_score([&](int64_t i, int64_t row, int64_t column) { ds.row(row)[column] = T(float(gradients[i])); });
    }

 private:
    // dy of an expert (column of heads' experts), and this thread's part of dout y_e: 0 if it is not chosen.
    DEVICE float expert(int64_t column, Shared<T> kept, float weight) const {
        const int64_t dim = teams.dim;
        const bool chosen = weight != kNotChosen;
        const Global<T> to = dy.row(teams.row()) + column * dim;
        const Global<const T> from = y.row(teams.row()) + column * dim;
        float sum = 0;
        for (int64_t k = teams.rank() * N; k < dim; k += teams.lanes * N) {
            Vec<T, N> d{};
            if (chosen) {
                d = load<N>(kept + k);
                const auto v = load<N>(from + k);
                for (int i = 0; i < N; i++) {
                    sum += float(d[i]) * float(v[i]);
                    d[i] = T(weight * float(d[i]));
                }
            }
            store(to + k, d);
        }
        return sum;
    }
};

}  // namespace

// ---------------------------------------------------------------- launchers
template <class B>
void switch_forward(Stream stream, typename B::T* out, Rows<const typename B::T> y, Rows<const typename B::T> s,
                    int64_t rows, int64_t heads, int64_t experts, int64_t dim, int64_t top_k) {
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", rows}, {"heads", heads}, {"experts", experts}, {"dim", dim}},
                moved<B>(rows * heads, experts * dim, 1, rows * heads * dim));
    with_width<T>(vector_width_of<T>({dim, y.stride}, out, y.data), [&](auto wide) {
        const Teams teams(rows, heads, experts, dim, top_k, lanes_for(dim / wide()));
        op.launch(SwitchForward<T, wide()>{out, on_device(y), on_device(s), teams},
                  {.grid = {ceil_div(teams.count, teams.of_block())}, .shared = teams.bytes()});
    });
}

template <class B>
void switch_backward(Stream stream, Rows<typename B::T> dy, Rows<typename B::T> ds, const typename B::T* dout,
                     Rows<const typename B::T> y, Rows<const typename B::T> s, int64_t rows, int64_t heads,
                     int64_t experts, int64_t dim, int64_t top_k) {
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", rows}, {"heads", heads}, {"experts", experts}, {"dim", dim}},
                moved<B>(rows * heads, experts * dim, 2, rows * heads * dim));
    with_width<T>(vector_width_of<T>({dim, dy.stride, y.stride}, dy.data, dout, y.data), [&](auto wide) {
        const Teams teams(rows, heads, experts, dim, top_k, lanes_for(dim / wide()));
        const int64_t kept_at = ceil_div(teams.bytes(), 16) * 16;
        const int64_t kept_bytes = teams.of_block() * dim * int64_t(sizeof(T));
        op.launch(
            SwitchBackward<T, wide()>{on_device(dy), on_device(ds), dout, on_device(y), on_device(s), teams, kept_at},
            {.grid = {ceil_div(teams.count, teams.of_block())}, .shared = kept_at + kept_bytes});
    });
}

#define INSTANTIATE(B)                                                                                                \
    template void switch_forward<B>(Stream, B::T*, Rows<const B::T>, Rows<const B::T>, int64_t, int64_t, int64_t,     \
                                    int64_t, int64_t);                                                                \
    template void switch_backward<B>(Stream, Rows<B::T>, Rows<B::T>, const B::T*, Rows<const B::T>, Rows<const B::T>, \
                                     int64_t, int64_t, int64_t, int64_t, int64_t);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
