// Softmax attention and ReLU attention in tiles (FlashAttention, arXiv 2205.14135 and 2307.08691; ReLA, arXiv
// 2104.07012), in float. One walk serves both kinds: what turns scores into weights, and back, is an object `Rule`.
//
// Forward: a block has a query tile of one head, and goes over the key tiles that it sees. Backward makes the scores
// again, twice: for dq a block has a query tile and goes over key tiles, for dk and dv it has a key tile and goes over
// the query tiles that see it, in each over the query heads of its kv head. So every sum has one block and one order.
#include "kernels/attention_workspace.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_rules.cuh"
#include "kernels/cuda/attention_tiles.cuh"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"
#include "kernels/probes.h"

namespace sluice {
namespace {

// ---------------------------------------------------------------- forward
// What all kernels here take. q, k, v rows as in ops.h.
template <class T>
struct AttentionInput {
    Tokens<const T> q, k, v;
    CausalMask mask;
    AttentionShape n;
    int tokens = 0;              // of a tile
    bool wide;                   // accesses of 16 bytes
    int64_t first_sequence = 0;  // of this launch

    DEVICE int64_t sequence() const { return first_sequence + block_z(); }
    DEVICE int64_t query(int64_t sequence, int64_t head, int t) const {
        return (sequence * n.heads + head) * n.length + t;
    }
    DEVICE int tokens_from(int t) const { return int(std::min<int64_t>(tokens, n.length - t)); }
    int64_t tiles() const { return ceil_div(n.length, tokens); }
};

constexpr int kAttentionThreads = 128;  // at least as many as tokens in a tile

// A block for each query tile (along x, the longest walks first), head and sequence.
template <class T, class Rule>
struct AttentionForward {
    static constexpr int kThreads = kAttentionThreads;
    Tokens<T> out;
    AttentionInput<T> in;
    Rule rule;

    static TilePlan plan(int64_t dim) { return TilePlan::of(dim, 4, 1, 1); }

    DEVICE void operator()() const {
        const AttentionShape& n = in.n;
        const int64_t sequence = in.sequence(), head = block_y(), kv_head = head / (n.heads / n.kv_heads);
        const int q0 = int(grid_x() - 1 - block_x()) * in.tokens, rows = in.tokens_from(q0);
        TileMemory memory;
        const TileView q = memory.tile(in.tokens, n.dim), k = memory.tile(in.tokens, n.dim);
        const TileView v = memory.tile(in.tokens, n.dim), sum = memory.tile(in.tokens, n.dim);
        const TileView weights = memory.tile(in.tokens, in.tokens);
        const Shared<float> factor = memory.take<float>(in.tokens);
        load_tile(q, in.q.head(n, sequence, head).from(q0), rows, n.dim, in.wide);
        clear_tile(sum, rows, n.dim);

        // The thread's query, if there is one: it sees keys first .. t. Other rows of the tile see none.
        const int i = thread(), t = q0 + i, first = i < rows ? in.mask.first_key(sequence, t) : q0 + in.tokens;
        typename Rule::Row row;
        const int least = -block_max<kThreads>(-first);
        for (int k0 = least / in.tokens * in.tokens; k0 < q0 + rows; k0 += in.tokens) {
            const int keys = in.tokens_from(k0);
            block_barrier();  // the tile before is done with
            load_tile(k, in.k.head(n, sequence, kv_head).from(k0), keys, n.dim, in.wide);
            load_tile(v, in.v.head(n, sequence, kv_head).from(k0), keys, n.dim, in.wide);
            block_barrier();
            tile_product(upright(q, rows), rows, upright(k, keys), keys, int(n.dim), [&](int r, int s, float score) {
                weights.data[weights.index(r, s)] = float(n.scale) * score;
            });
            block_barrier();
            if (i < in_fours(rows)) {
                const Shared<float> w = weights.data + weights.index(i, 0);
                const int from = std::clamp(first - k0, 0, in_fours(keys)), end = std::clamp(t + 1 - k0, from, keys);
                for (int j = 0; j < from; j++) w[j] = 0;
                factor[i] = rule.add(row, w, from, end);
                for (int j = end; j < in_fours(keys); j++) w[j] = 0;
            }
            block_barrier();
            tile_product(upright(weights, rows), rows, Turned{v}, int(n.dim), keys, [&](int r, int s, float part) {
                const int at = sum.index(r, s);
                sum.data[at] = factor[r] * sum.data[at] + part;
            });
        }
        block_barrier();
        if (i < rows) factor[i] = rule.finish(row, in.query(sequence, head, t));
        block_barrier();
        store_tile(out.head(n, sequence, head).from(q0), sum, rows, n.dim, in.wide,
                   [&](int r) { return float(factor[r]); });
    }
};

// ---------------------------------------------------------------- backward
// A query tile and a key tile of backward, and what follows from the two.
template <class T, class Rule>
struct BackwardPair {
    AttentionInput<T> in;
    Tokens<const T> dout;
    Rule rule;

    // Tiles (tokens, dim) of both, p and dp (queries, keys), and of each query the first key it sees and what the rule
    // keeps.
    struct Tiles {
        TileView q, dout, k, v, p, dp;
        Shared<int32_t> first;
        Shared<float> kept;
    };
    static TilePlan plan(int64_t dim, int sums) { return TilePlan::of(dim, 4 + sums, 2, 1 + Rule::kKept); }

    DEVICE Tiles tiles(TileMemory& memory) const {
        const auto wide = [&] { return memory.tile(in.tokens, in.n.dim); };
        const auto square = [&] { return memory.tile(in.tokens, in.tokens); };
        return {wide(),
                wide(),
                wide(),
                wide(),
                square(),
                square(),
                memory.take<int32_t>(in.tokens),
                memory.take<float>(in.tokens * Rule::kKept)};
    }

    // The least first key of the queries q0 .. q0 + rows - 1, whose first keys go to tiles.first.
    DEVICE int load_first(const Tiles& tiles, int64_t sequence, int q0, int rows) const {
        int first = int(in.n.length);
        if (thread() < rows) tiles.first[thread()] = first = in.mask.first_key(sequence, q0 + thread());
        return -block_max<kAttentionThreads>(-first);
    }
    DEVICE void load_queries(const Tiles& tiles, int64_t sequence, int64_t head, int q0, int rows) const {
        load_tile(tiles.q, in.q.head(in.n, sequence, head).from(q0), rows, in.n.dim, in.wide);
        load_tile(tiles.dout, dout.head(in.n, sequence, head).from(q0), rows, in.n.dim, in.wide);
        if (thread() < rows) rule.keep(tiles.kept + thread() * Rule::kKept, in.query(sequence, head, q0 + thread()));
    }
    DEVICE void load_keys(const Tiles& tiles, int64_t sequence, int64_t kv_head, int k0, int keys) const {
        load_tile(tiles.k, in.k.head(in.n, sequence, kv_head).from(k0), keys, in.n.dim, in.wide);
        load_tile(tiles.v, in.v.head(in.n, sequence, kv_head).from(k0), keys, in.n.dim, in.wide);
    }

    // p = weights, dp = gradients of q k; 0 where a query does not see a key. A thread finds the scores that it put.
    DEVICE void weigh(const Tiles& tiles, int q0, int rows, int k0, int keys) const {
        const float scale = float(in.n.scale);
        tile_product(upright(tiles.q, rows), rows, upright(tiles.k, keys), keys, int(in.n.dim),
                     [&](int i, int j, float score) { tiles.p.data[tiles.p.index(i, j)] = scale * score; });
        tile_product(upright(tiles.dout, rows), rows, upright(tiles.v, keys), keys, int(in.n.dim),
                     [&](int i, int j, float dweight) {
                         const bool seen = i < rows && k0 + j <= q0 + i && k0 + j >= tiles.first[i];
                         const int at = tiles.p.index(i, j);
                         const Shared<float> kept = tiles.kept + i * Rule::kKept;
                         const float score = tiles.p.data[at], weight = seen ? rule.weight(kept, score) : 0;
                         tiles.p.data[at] = weight;
                         tiles.dp.data[at] = seen ? scale * rule.slope(kept, score, weight, dweight) : 0;
                     });
    }
};

// sum (m, n) += a b, with b (depth, n).
template <class A>
DEVICE void add_product(TileView sum, A a, int m, TileView b, int64_t n, int depth) {
    tile_product(a, m, Turned{b}, int(n), depth, [&](int i, int j, float part) {
        const int at = sum.index(i, j);
        sum.data[at] = sum.data[at] + part;
    });
}

// A block for each query tile (along x, the longest walks first), head and sequence.
template <class T, class Rule>
struct AttentionBackwardQueries {
    static constexpr int kThreads = kAttentionThreads;
    Tokens<T> dq;
    BackwardPair<T, Rule> pair;

    static TilePlan plan(int64_t dim) { return BackwardPair<T, Rule>::plan(dim, 1); }

    DEVICE void operator()() const {
        const AttentionInput<T>& in = pair.in;
        const AttentionShape& n = in.n;
        const int64_t sequence = in.sequence(), head = block_y(), kv_head = head / (n.heads / n.kv_heads);
        const int q0 = int(grid_x() - 1 - block_x()) * in.tokens, rows = in.tokens_from(q0);
        TileMemory memory;
        const auto tiles = pair.tiles(memory);
        const TileView sum = memory.tile(in.tokens, n.dim);
        clear_tile(sum, rows, n.dim);
        pair.load_queries(tiles, sequence, head, q0, rows);
        const int least = pair.load_first(tiles, sequence, q0, rows);
        for (int k0 = least / in.tokens * in.tokens; k0 < q0 + rows; k0 += in.tokens) {
            const int keys = in.tokens_from(k0);
            block_barrier();  // the tile before is done with
            pair.load_keys(tiles, sequence, kv_head, k0, keys);
            block_barrier();
            pair.weigh(tiles, q0, rows, k0, keys);
            block_barrier();
            add_product(sum, upright(tiles.dp, rows), rows, tiles.k, n.dim, keys);
        }
        block_barrier();
        store_tile(dq.head(n, sequence, head).from(q0), sum, rows, n.dim, in.wide, [](int) { return 1.0f; });
    }
};

// A block for each key tile (along x), kv head and sequence.
template <class T, class Rule>
struct AttentionBackwardKeys {
    static constexpr int kThreads = kAttentionThreads;
    Tokens<T> dk, dv;
    BackwardPair<T, Rule> pair;

    static TilePlan plan(int64_t dim) { return BackwardPair<T, Rule>::plan(dim, 2); }

    DEVICE void operator()() const {
        const AttentionInput<T>& in = pair.in;
        const AttentionShape& n = in.n;
        const int64_t sequence = in.sequence(), kv_head = block_y(), group = n.heads / n.kv_heads;
        const int k0 = int(block_x()) * in.tokens, keys = in.tokens_from(k0);
        TileMemory memory;
        const auto tiles = pair.tiles(memory);
        const TileView dk_sum = memory.tile(in.tokens, n.dim), dv_sum = memory.tile(in.tokens, n.dim);
        clear_tile(dk_sum, keys, n.dim);
        clear_tile(dv_sum, keys, n.dim);
        pair.load_keys(tiles, sequence, kv_head, k0, keys);
        // No query from `end` on sees a key of the tile.
        const int64_t end = in.mask.window > 0 ? std::min(n.length, k0 + keys - 1 + in.mask.window) : n.length;
        for (int q0 = k0; q0 < end; q0 += in.tokens) {
            const int rows = in.tokens_from(q0);
            if (pair.load_first(tiles, sequence, q0, rows) >= k0 + keys) continue;
            for (int64_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
                block_barrier();  // the tiles before are done with
                pair.load_queries(tiles, sequence, head, q0, rows);
                block_barrier();
                pair.weigh(tiles, q0, rows, k0, keys);
                block_barrier();
                add_product(dv_sum, Turned{tiles.p}, keys, tiles.dout, n.dim, rows);
                add_product(dk_sum, Turned{tiles.dp}, keys, tiles.q, n.dim, rows);
            }
        }
        block_barrier();
        store_tile(dk.head(n, sequence, kv_head).from(k0), dk_sum, keys, n.dim, in.wide, [](int) { return 1.0f; });
        store_tile(dv.head(n, sequence, kv_head).from(k0), dv_sum, keys, n.dim, in.wide, [](int) { return 1.0f; });
    }
};

// delta (sequences, heads, length) = the sum over dim of dout out, both (sequences, length, heads, dim). `lanes`, a
// power of two, sum up one head of one token.
template <class T, int N>
struct AttentionDelta {
    static constexpr int kThreads = 256;
    Global<float> delta;
    Global<const T> dout, out;
    int64_t rows, length, heads, dim;  // rows = sequences * length * heads
    int lanes;

    DEVICE void operator()() const {
        const int64_t row = (block_x() * kThreads + thread()) / lanes;
        float sum = 0;
        for (int64_t i = thread() % lanes * N; row < rows && i < dim; i += lanes * N) {
            const Vec<T, N> a = load<N>(dout + (row * dim + i)), b = load<N>(out + (row * dim + i));
            for (int e = 0; e < N; e++) sum += float(a[e]) * float(b[e]);
        }
        for (int mask = lanes / 2; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
        if (row >= rows || thread() % lanes > 0) return;
        const int64_t token = row / heads, head = row % heads;
        delta[(token / length * heads + head) * length + token % length] = sum;
    }
};

// ---------------------------------------------------------------- launchers
template <class T>
AttentionInput<T> input_of(Rows<const T> q, Rows<const T> k, Rows<const T> v, const int32_t* doc_start,
                           const AttentionShape& n) {
    const bool wide = vector_width<T>(n.dim, q.data, k.data, v.data) > 1 && vector_width<T>(q.stride) > 1 &&
                      vector_width<T>(k.stride) > 1 && vector_width<T>(v.stride) > 1;
    return {tokens_of(q), tokens_of(k), tokens_of(v), {doc_start, n.length, n.window}, n, 0, wide};
}
template <class T>
bool wide_rows(Rows<T> x) {
    return vector_width<T>(x.stride, x.data) > 1;
}

// f(first, count) of as many sequences as a grid has blocks along z.
template <class F>
void each_launch(int64_t sequences, F f) {
    for (int64_t first = 0; first < sequences; first += kMostGridYZ) f(first, std::min(kMostGridYZ, sequences - first));
}

template <class T, class Rule>
void launch_forward(const Op& op, T* out, AttentionInput<T> in, Rule rule) {
    const AttentionShape& n = in.n;
    using Kernel = AttentionForward<T, Rule>;
    const TilePlan plan = Kernel::plan(n.dim);
    in.tokens = plan.tokens;
    in.wide = in.wide && vector_width<T>(n.dim, out) > 1;
    each_launch(n.sequences, [&](int64_t first, int64_t sequences) {
        in.first_sequence = first;
        op.launch(Kernel{{out, n.heads * n.dim}, in, rule},
                  {.grid = {in.tiles(), n.heads, sequences}, .shared = plan.bytes});
    });
}

template <class T, class Rule>
void launch_backward(const Op& op, Rows<T> dq, Rows<T> dk, Rows<T> dv, const T* dout, AttentionInput<T> in, Rule rule) {
    const AttentionShape& n = in.n;
    in.wide = in.wide && vector_width<T>(n.dim, dout) > 1 && wide_rows(dq) && wide_rows(dk) && wide_rows(dv);
    BackwardPair<T, Rule> pair{in, {dout, n.heads * n.dim}, rule};
    const auto launch = [&]<class Kernel>(Kernel kernel, int64_t heads) {
        const TilePlan plan = Kernel::plan(n.dim);
        kernel.pair.in.tokens = plan.tokens;
        each_launch(n.sequences, [&](int64_t first, int64_t sequences) {
            kernel.pair.in.first_sequence = first;
            op.launch(kernel, {.grid = {kernel.pair.in.tiles(), heads, sequences}, .shared = plan.bytes});
        });
    };
    launch(AttentionBackwardQueries<T, Rule>{tokens_of(dq), pair}, n.heads);
    launch(AttentionBackwardKeys<T, Rule>{tokens_of(dk), tokens_of(dv), pair}, n.kv_heads);
}

template <class T, int N>
void launch_delta(const Op& op, float* delta, const T* dout, const T* out, const AttentionShape& n) {
    int lanes = 1;
    while (lanes < kWarp && lanes * N < n.dim) lanes *= 2;
    using Kernel = AttentionDelta<T, N>;
    const int64_t rows = n.sequences * n.length * n.heads;
    op.launch(Kernel{delta, dout, out, rows, n.length, n.heads, n.dim, lanes},
              {.grid = {ceil_div(rows * lanes, Kernel::kThreads)}});
}

// ---------------------------------------------------------------- softmax attention by these kernels
template <class B>
void own_attention_forward(Stream stream, typename B::T* out, typename B::A* lse, Rows<const typename B::T> q,
                           Rows<const typename B::T> k, Rows<const typename B::T> v, const int32_t* doc_start,
                           const AttentionShape& n) {
    if (n.sequences * n.length == 0) return;
    launch_forward(attention_op("attention_forward", stream, n, 2), out, input_of(q, k, v, doc_start, n),
                   SoftmaxRule{lse});
}

template <class B>
void own_attention_backward(Stream stream, Rows<typename B::T> dq, Rows<typename B::T> dk, Rows<typename B::T> dv,
                            typename B::A* delta, const typename B::T* dout, const typename B::T* out,
                            const typename B::A* lse, Rows<const typename B::T> q, Rows<const typename B::T> k,
                            Rows<const typename B::T> v, const int32_t* doc_start, const AttentionShape& n) {
    if (n.sequences * n.length == 0) return;
    using T = typename B::T;
    const Op op = attention_op("attention_backward", stream, n, 4);
    if (vector_width<T>(n.dim, dout, out) > 1)
        launch_delta<T, 16 / sizeof(T)>(op, delta, dout, out, n);
    else
        launch_delta<T, 1>(op, delta, dout, out, n);
    launch_backward(op, dq, dk, dv, dout, input_of(q, k, v, doc_start, n), SoftmaxGradient{lse, delta});
}

}  // namespace

template <class B>
void attention_mean_keys(Stream stream, typename B::T* mean_k, typename B::A* largest, Rows<const typename B::T> q,
                         Rows<const typename B::T> k, const int32_t* doc_start, const AttentionShape& n) {
    if (n.sequences * n.length == 0) return;
    launch_forward(attention_op(__func__, stream, n, 2), mean_k, input_of(q, k, k, doc_start, n), PeakRule{{largest}});
}

// ---------------------------------------------------------------- by a library, where it has a plan
template <class B>
std::string prepare_attention(Stream stream, const AttentionShape& n, const AttentionStrides& strides) {
    if constexpr (std::is_same_v<typename B::T, bf16>)
        return prepare_library_attention(stream, n, strides, kAttentionWorkspace);
    else
        return "own: fp32";
}

template <class B>
void attention_forward(Stream stream, typename B::T* out, typename B::A* lse, Rows<const typename B::T> q,
                       Rows<const typename B::T> k, Rows<const typename B::T> v, const int32_t* doc_start,
                       const AttentionShape& n) {
    if constexpr (std::is_same_v<typename B::T, bf16>)
        if (!doc_start && library_attention_forward(stream, out, lse, q, k, v, n)) return;
    own_attention_forward<B>(stream, out, lse, q, k, v, doc_start, n);
}

template <class B>
void attention_backward(Stream stream, Rows<typename B::T> dq, Rows<typename B::T> dk, Rows<typename B::T> dv,
                        typename B::A* delta, std::byte* workspace, const typename B::T* dout, const typename B::T* out,
                        const typename B::A* lse, Rows<const typename B::T> q, Rows<const typename B::T> k,
                        Rows<const typename B::T> v, const int32_t* doc_start, const AttentionShape& n) {
    if constexpr (std::is_same_v<typename B::T, bf16>)
        if (!doc_start && library_attention_backward(stream, dq, dk, dv, delta, workspace, dout, out, lse, q, k, v, n))
            return;
    own_attention_backward<B>(stream, dq, dk, dv, delta, dout, out, lse, q, k, v, doc_start, n);
}

template <class B>
void relu_attention_forward(Stream stream, typename B::T* out, Rows<const typename B::T> q, Rows<const typename B::T> k,
                            Rows<const typename B::T> v, const int32_t* doc_start, const AttentionShape& n) {
    if (n.sequences * n.length == 0) return;
    launch_forward(attention_op(__func__, stream, n, 2), out, input_of(q, k, v, doc_start, n), ReluRule());
}

template <class B>
void relu_attention_backward(Stream stream, Rows<typename B::T> dq, Rows<typename B::T> dk, Rows<typename B::T> dv,
                             const typename B::T* dout, Rows<const typename B::T> q, Rows<const typename B::T> k,
                             Rows<const typename B::T> v, const int32_t* doc_start, const AttentionShape& n) {
    if (n.sequences * n.length == 0) return;
    const Op op = attention_op(__func__, stream, n, 4);
    launch_backward(op, dq, dk, dv, dout, input_of(q, k, v, doc_start, n), ReluGradient());
}

#define INSTANTIATE(B)                                                                                              \
    template void attention_forward<B>(Stream, B::T*, B::A*, Rows<const B::T>, Rows<const B::T>, Rows<const B::T>,  \
                                       const int32_t*, const AttentionShape&);                                      \
    template void attention_mean_keys<B>(Stream, B::T*, B::A*, Rows<const B::T>, Rows<const B::T>, const int32_t*,  \
                                         const AttentionShape&);                                                    \
    template void attention_backward<B>(Stream, Rows<B::T>, Rows<B::T>, Rows<B::T>, B::A*, std::byte*, const B::T*, \
                                        const B::T*, const B::A*, Rows<const B::T>, Rows<const B::T>,               \
                                        Rows<const B::T>, const int32_t*, const AttentionShape&);                   \
    template std::string prepare_attention<B>(Stream, const AttentionShape&, const AttentionStrides&);              \
    template void relu_attention_forward<B>(Stream, B::T*, Rows<const B::T>, Rows<const B::T>, Rows<const B::T>,    \
                                            const int32_t*, const AttentionShape&);                                 \
    template void relu_attention_backward<B>(Stream, Rows<B::T>, Rows<B::T>, Rows<B::T>, const B::T*,               \
                                             Rows<const B::T>, Rows<const B::T>, Rows<const B::T>, const int32_t*,  \
                                             const AttentionShape&);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
