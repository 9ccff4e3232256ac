// Teams of threads that read a head, or a row, once: what a thread reads stays in registers until the sum over all of
// it is known. Used by the norms.
#pragma once
#include <algorithm>
#include <type_traits>

#include "kernels/cuda/access.cuh"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"

namespace sluice {

// kLanes threads that take a head together: lanes of a warp, or all of a block. A thread has kPieces pieces of it, or
// with kPieces 0 as many as it takes, and no room for them in registers. A piece is kParts runs of N elements, an
// access each: one run, or with RoPE two, half a head apart, so that a thread has both channels of a pair. Neighbouring
// threads have neighbouring runs.
template <int N_, int kLanes_, int kPieces_, int kParts_>
struct Team {
    static constexpr int N = N_, kLanes = kLanes_, kPieces = kPieces_, kParts = kParts_;
    static constexpr int kSize = kParts * N;  // elements of a piece
    static constexpr int kThreads = kLanes > kWarp ? kLanes : 256, kTeams = kThreads / kLanes;
    // A group takes a token: a warp, since all of its lanes meet in each sum, or the block.
    static constexpr int kGroup = std::max(kLanes, kWarp), kGroups = kThreads / kGroup;
    static constexpr int kTeamsOfGroup = kGroup / kLanes;

    DEVICE static int index() { return thread() / kLanes; }
    DEVICE static int rank() { return thread() % kLanes; }

    // f(piece, its first element) for this thread's pieces of a head of `width` elements.
    template <class F>
    DEVICE static void each(int width, F f) {
        int i = rank() * N;
        if constexpr (kPieces == 0) {
            for (; i < width / kParts; i += kLanes * N) f(0, i);
        } else {
            for (int k = 0; k < kPieces; k++, i += kLanes * N)
                if (i < width / kParts) f(k, i);
        }
    }
    // The team's sum, for each of its threads. The whole group calls it.
    DEVICE static float sum(float v) {
        if constexpr (kLanes > kWarp) {
            return block_sum<kThreads>(v);
        } else {
            for (int mask = kLanes / 2; mask > 0; mask /= 2) v += shuffle_xor(v, mask);
            return v;
        }
    }
};

template <class Y, class X, int M>
DEVICE Vec<Y, M> converted(const Vec<X, M>& x) {
    Vec<Y, M> y;
    for (int j = 0; j < M; j++) y[j] = Y(float(x[j]));
    return y;
}

// A head (width) in memory; pieces are known by their first element. Or with kParts 1 what stands for a head and has
// one element for both channels of a pair.
template <class X, class Team, int kParts = Team::kParts>
struct Head {
    static constexpr int kSize = kParts * Team::N;
    using Value = std::remove_const_t<X>;
    using Piece = Vec<Value, kSize>;

    Global<X> data;
    int width;

    DEVICE int place(int i, int j) const { return i + j / Team::N * (width / kParts) + j % Team::N; }
    DEVICE Piece read(int i) const {
        constexpr int kRun = std::min(Team::N, 16 / int(sizeof(X)));  // elements of an access
        Piece piece;
        for (int j = 0; j < kSize; j += kRun) {
            const Vec<Value, kRun> run = load<kRun>(Global<const Value>(data + place(i, j)));
            for (int l = 0; l < kRun; l++) piece[j + l] = run[l];
        }
        return piece;
    }
    DEVICE void write(int i, const Piece& piece) const {
        constexpr int kRun = std::min(Team::N, 16 / int(sizeof(X)));
        for (int j = 0; j < kSize; j += kRun) {
            Vec<Value, kRun> run;
            for (int l = 0; l < kRun; l++) run[l] = piece[j + l];
            store<kRun>(data + place(i, j), run);
        }
    }
};

// A thread's pieces of a head, in registers if kRoom.
template <class X, class Team, int kParts = Team::kParts, bool kRoom = (Team::kPieces > 0)>
class Kept {
 public:
    using Piece = typename Head<X, Team, kParts>::Piece;

    DEVICE explicit Kept(const Head<X, Team, kParts>& head) : head_(head) {}
    DEVICE const Head<X, Team, kParts>& head() const { return head_; }
    DEVICE Piece keep(int k, const Piece& piece) { return pieces_[k] = piece; }
    DEVICE Piece read(int k, int i) { return keep(k, head_.read(i)); }
    DEVICE void read_all() {
        if constexpr (kRoom) Team::each(head_.width, [&](int k, int i) { read(k, i); });
    }
    // What was read of i.
    DEVICE Piece again(int k, int i) const {
        if constexpr (kRoom)
            return pieces_[k];
        else
            return head_.read(i);
    }

 private:
    Head<X, Team, kParts> head_;
    Piece pieces_[kRoom ? Team::kPieces : 1];
};

// What a thread sums up over heads, of each of its elements: in registers, or where there is no room in place, in the
// row of parts (width) which is the block's.
template <class Team>
class Sums {
 public:
    DEVICE explicit Sums(const Head<float, Team>& part) : part_(part), kept_(part) {
        Team::each(part.width, [&](int k, int i) { put(k, i, {}); });
    }
    DEVICE void add(int k, int i, const Vec<float, Team::kSize>& v) {
        auto sum = kept_.again(k, i);
        for (int j = 0; j < Team::kSize; j++) sum[j] += v[j];
        put(k, i, sum);
    }
    // Writes the part: the sum over the teams of the block, in their order. All threads call it.
    DEVICE void write() const {
        if constexpr (Team::kPieces > 0 && Team::kTeams == 1) {
            Team::each(part_.width, [&](int k, int i) { part_.write(i, kept_.again(k, i)); });
        } else if constexpr (Team::kPieces > 0) {
            // A row has one element of each thread, and is so long that neither writing nor reading has bank conflicts.
            constexpr int kRow = Team::kThreads + kWarp / Team::N;
            SHARED(float, of_threads, Team::kPieces* Team::kSize* kRow);
            Team::each(part_.width, [&](int k, int i) {
                const auto sum = kept_.again(k, i);
                for (int j = 0; j < Team::kSize; j++) of_threads[(k * Team::kSize + j) * kRow + thread()] = sum[j];
            });
            block_barrier();
            const int run = part_.width / Team::kParts;
            for (int i = thread(); i < part_.width; i += Team::kThreads) {
                const int piece = i % run / Team::N, rank = piece % Team::kLanes, k = piece / Team::kLanes;
                const int j = i / run * Team::N + i % Team::N;
                float sum = 0;
                for (int team = 0; team < Team::kTeams; team++)
                    sum += of_threads[(k * Team::kSize + j) * kRow + team * Team::kLanes + rank];
                part_.data[i] = sum;
            }
        }
    }

 private:
    DEVICE void put(int k, int i, const Vec<float, Team::kSize>& v) {
        if constexpr (Team::kPieces > 0)
            kept_.keep(k, v);
        else
            part_.write(i, v);
    }
    Head<float, Team> part_;
    Kept<float, Team> kept_;
};

// f(team) for rows without RoPE, which a warp or a block takes. Rows of up to 8192 elements stay in registers, of up to
// 2048 where an access takes one element.
template <class T, class F>
void with_row_team(int64_t width, int64_t vector, F f) {
    with_width<T>(vector, [&]<int N>(std::integral_constant<int, N>) {
        if (width <= 32 * 8) return f(Team<N, 32, 8 / N, 1>());
        if (width <= 128 * 8) return f(Team<N, 128, 8 / N, 1>());
        if (width <= 256 * 8) return f(Team<N, 256, 8 / N, 1>());
        if constexpr (N > 1)
            if (width <= 512 * 16) return f(Team<N, 512, 16 / N, 1>());
        f(Team<N, 256, 0, 1>());
    });
}
// f(team) for heads (dim) with RoPE.
template <class T, class F>
void with_head_team(int64_t dim, int64_t vector, F f) {
    constexpr int N = 16 / sizeof(T);
    if (vector == 1)
        dim <= 2 * 32 * 4 ? f(Team<1, 32, 4, 2>()) : f(Team<1, 256, 0, 2>());
    else if (dim <= 2 * 4 * N)
        f(Team<N, 4, 1, 2>());
    else if (dim <= 2 * 8 * N)
        f(Team<N, 8, 1, 2>());
    else if (dim <= 2 * 16 * N)
        f(Team<N, 16, 1, 2>());
    else if (dim <= 2 * 32 * N)
        f(Team<N, 32, 1, 2>());
    else
        f(Team<4, 256, 0, 2>());  // with 8, what backward has in hand does not fit in registers
}

}  // namespace sluice
