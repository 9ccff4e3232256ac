// Gates: out = y g or y + g, with g = scale act(s). A score may be broadcast over rows, heads or channels (stride 0);
// its gradient is the sum over what it was broadcast to. In names: a is scale and activation, c how g is combined with
// y.
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/prefetch.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/gate_math.h"
#include "kernels/ops.h"
#include "kernels/profile.h"

namespace sluice {
namespace {

int64_t scores_of_row(const GateShape& n) { return n.score_heads() * n.score_channels(); }

}  // namespace

template <class B>
void gate_forward(Stream, typename B::T* out, Rows<const typename B::T> y, const typename B::T* s, const GateShape& n,
                  Factor factor, Combine how) {
    const int64_t width = n.heads * n.channels;
    const Timed timed(__func__, moved<B>(n.rows, width, 2, n.scores()));
    using A = typename B::A;
    const Rows<const typename B::T> scores{s, n.stride.row};
    with_gate<A>(factor, how, [&](auto a, auto c) {
        parallel_chunks(n.rows, width, [&](int64_t begin, int64_t end) {
            Ahead scores_ahead(scores, begin, n.rows, scores_of_row(n)), y_ahead(y, begin, n.rows, width);
            for (int64_t r = begin; r < end; r++) {
                scores_ahead.of(scores_of_row(n));
                y_ahead.of(width);
                for (int64_t h = 0; h < n.heads; h++) {
                    const auto *score = scores.row(r) + h * n.stride.head, *in = y.row(r) + h * n.channels;
                    auto* result = out + r * width + h * n.channels;
                    if (n.stride.channel == 0) {  // one score for the head's channels
                        const A g = a.value(A(*score), logistic);
#pragma omp simd
                        for (int64_t k = 0; k < n.channels; k++) result[k] = c.value(A(in[k]), g);
                    } else {
#pragma omp simd
                        for (int64_t k = 0; k < n.channels; k++)
                            result[k] = c.value(A(in[k]), a.value(A(score[k]), logistic));
                    }
                }
            }
        });
    });
}

// One row: dy (heads, channels), and ds (score_heads, score_channels) = or += the gradient of each score, summed over
// the heads and channels that share it. y, dout (heads, channels), s (score_heads, score_channels).
template <Into into, class B, class Act, class How>
static void gate_backward_row(typename B::T* dy, typename B::A* ds, const typename B::T* dout, const typename B::T* y,
                              const typename B::T* s, const GateShape& n, Act a, How c) {
    using A = typename B::A;
    const auto put = [](A& to, A value) { to = into == Into::add ? to + value : value; };
    for (int64_t h = 0; h < n.heads; h++) {
        const int64_t at = h * n.channels, score = h * n.stride.head;
        if (n.stride.channel == 0) {
            const A g = a.value(A(s[score]), logistic);
            A sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t k = 0; k < n.channels; k++) {
                const A d = dout[at + k];
                sum += c.dg(d, A(y[at + k]));
                dy[at + k] = c.dy(d, g);
            }
            put(ds[score], sum * (a.scale * a.slope(A(s[score]), logistic)));
        } else {
#pragma omp simd
            for (int64_t k = 0; k < n.channels; k++) {
                const A d = dout[at + k], x = s[score + k];
                put(ds[score + k], c.dg(d * a.scale, A(y[at + k])) * a.slope(x, logistic));
                dy[at + k] = c.dy(d, a.value(x, logistic));
            }
        }
    }
}

template <class B, class D>
void gate_backward(Stream, Rows<typename B::T> dy, D* ds, Rows<const typename B::T> dout, Rows<const typename B::T> y,
                   const typename B::T* s, const GateShape& n, Factor factor, Combine how, Into into) {
    const Timed timed(__func__, moved<B>(n.rows, n.heads * n.channels, 3, 2 * n.scores()));
    using A = typename B::A;
    const int64_t width = n.heads * n.channels;
    const int64_t scores = scores_of_row(n);
    const bool own = n.stride.row > 0 && n.stride.head > 0;  // each row and head has scores of its own
    if (into == Into::overwrite && n.stride.row == 0) std::fill(ds, ds + scores, D(0));
    with_gate<A>(factor, how, [&](auto a, auto c) {
        const auto add_row = [&](int64_t r, A* sums) {
            gate_backward_row<Into::add, B>(dy.row(r), sums, dout.row(r), y.row(r), s + r * n.stride.row, n, a, c);
        };
        // All rows share their scores: a sum over rows, in fixed chunks.
        if (n.stride.row == 0) return sum_rows<D, A>(ds, n.rows, scores, add_row);
        parallel_chunks(n.rows, width, [&](int64_t begin, int64_t end) {
            Ahead dout_ahead(dout, begin, n.rows, width), y_ahead(y, begin, n.rows, width);
            Ahead s_ahead(Rows<const typename B::T>{s, n.stride.row}, begin, n.rows, scores);
            Ahead ds_ahead(Rows<D>{ds, n.stride.row}, begin, n.rows, scores);
            for (int64_t r = begin; r < end; r++) {
                dout_ahead.of(width);
                y_ahead.of(width);
                s_ahead.of(scores);
                ds_ahead.of(scores);
                D* row = ds + r * n.stride.row;
                // Written once, ds may be s: each score is read before its gradient takes its place.
                if (into == Into::overwrite && own) {
                    gate_backward_row<Into::overwrite, B>(dy.row(r), row, dout.row(r), y.row(r), s + r * n.stride.row,
                                                          n, a, c);
                    continue;
                }
                if (into == Into::overwrite) std::fill_n(row, scores, D(0));
                add_row(r, row);
            }
        });
    });
}

template <class B>
void head_mean_forward(Stream, typename B::T* mean, Rows<const typename B::T> s, int64_t rows, int64_t heads,
                       int64_t channels, int64_t of) {
    const Timed timed(__func__, moved<B>(rows, heads * channels, 1, rows * channels));
    using A = typename B::A;
    parallel_chunks(rows, heads * channels, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++)
            for (int64_t k = 0; k < channels; k++) {
                A sum = 0;
                for (int64_t h = 0; h < heads; h++) sum += s.row(r)[h * channels + k];
                mean[r * channels + k] = sum / A(of);
            }
    });
}

template <class B>
void head_mean_backward(Stream, Rows<typename B::T> ds, const typename B::T* dmean, int64_t rows, int64_t heads,
                        int64_t channels, int64_t of) {
    const Timed timed(__func__, moved<B>(rows, heads * channels, 1, rows * channels));
    using A = typename B::A;
    parallel_chunks(rows, heads * channels, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++)
            for (int64_t h = 0; h < heads; h++)
                for (int64_t k = 0; k < channels; k++) ds.row(r)[h * channels + k] = A(dmean[r * channels + k]) / A(of);
    });
}

#define INSTANTIATE(B)                                                                                               \
    template void gate_forward<B>(Stream, B::T*, Rows<const B::T>, const B::T*, const GateShape&, Factor, Combine);  \
    template void gate_backward<B, B::T>(Stream, Rows<B::T>, B::T*, Rows<const B::T>, Rows<const B::T>, const B::T*, \
                                         const GateShape&, Factor, Combine, Into);                                   \
    template void head_mean_forward<B>(Stream, B::T*, Rows<const B::T>, int64_t, int64_t, int64_t, int64_t);         \
    template void head_mean_backward<B>(Stream, Rows<B::T>, const B::T*, int64_t, int64_t, int64_t, int64_t);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
