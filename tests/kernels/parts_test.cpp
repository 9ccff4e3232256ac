// Ops whose tensors may be columns of a wider matrix. That they are right on dense tensors is tested where each op is.
#include "kernels/attention_cases.h"
#include "kernels/rows.h"

namespace sluice {
namespace {

TEST(Parts, Bias) {
    hold_in_parts([]<class T>(Operands<T>& all) {
        const int64_t rows = 2500, width = 9;
        bias_forward<Cpu<T>>({}, all.rows(rows, width, 5), all.dense(width), rows, width);
        bias_backward<Cpu<T>>({}, all.dense(width), all.rows(rows, width, 4), rows, width);
    });
}

TEST(Parts, Rope) {
    for (const int direction : {1, -1})
        hold_in_parts([=]<class T>(Operands<T>& all) {
            const RopeShape n{2, 300, 3, 10};
            const T *cos = all.dense(n.length * n.dim / 2), *sin = all.dense(n.length * n.dim / 2);
            rope<Cpu<T>>({}, all.rows(n.sequences * n.length, n.heads * n.dim, 7), cos, sin, n, direction);
        });
}

TEST(Parts, RmsNormAndRope) {
    for (const bool in_place : {false, true})
        hold_in_parts([=]<class T>(Operands<T>& all) {
            const RopeShape n{2, 300, 3, 10};
            const int64_t tokens = n.sequences * n.length, width = n.heads * n.dim;
            const T *cos = all.dense(n.length * n.dim / 2), *sin = all.dense(n.length * n.dim / 2);
            const T* w = all.dense(n.dim);
            T* rstd = all.dense(tokens * n.heads);
            const Rows<T> x = all.rows(tokens, width, 7), dy = all.rows(tokens, width, 4);
            const Rows<T> dx = in_place ? dy : all.rows(tokens, width, 9);
            rmsnorm_rope_forward<Cpu<T>>({}, all.dense(tokens * width), rstd, x, w, cos, sin, n, 1e-3);
            rmsnorm_rope_backward<Cpu<T>>({}, dx, all.dense(n.dim), dy, x, w, rstd, cos, sin, n);
        });
}

// q, k and v, and their gradients.
template <class T>
struct Heads {
    Rows<T> q, k, v;
    Heads(Operands<T>& all, const AttentionCase& c, int64_t beside)
        : q(all.rows(c.sequences * c.length, c.heads * c.dim, beside)),
          k(all.rows(c.sequences * c.length, c.kv_heads * c.dim, beside + 1)),
          v(all.rows(c.sequences * c.length, c.kv_heads * c.dim, beside + 2)) {}
};
std::vector<AttentionCase> attention_cases() {
    std::vector<AttentionCase> cases(std::begin(kAttentionCases), std::end(kAttentionCases));
    cases.push_back({4, 130, 8, 4, 2, 40, 33});  // tiles for several threads
    return cases;
}

TEST(Parts, Attention) {
    for (const AttentionCase& c : attention_cases()) {
        SCOPED_TRACE(text(c));
        hold_in_parts([&]<class T>(Operands<T>& all) {
            const int64_t queries = c.sequences * c.length * c.heads;
            const auto doc_start = starts(c);
            const int32_t* mask = doc_start.empty() ? nullptr : doc_start.data();
            const Heads<T> x(all, c, 3), g(all, c, 6);
            T *out = all.dense(queries * c.dim), *lse = all.dense(queries), *delta = all.dense(queries);
            attention_forward<Cpu<T>>({}, out, lse, x.q, x.k, x.v, mask, shape(c, 0.6));
            attention_backward<Cpu<T>>({}, g.q, g.k, g.v, delta, nullptr, all.dense(queries * c.dim), out, lse, x.q,
                                       x.k, x.v, mask, shape(c, 0.6));
        });
    }
}

TEST(Parts, ReluAttention) {
    for (const AttentionCase& c : attention_cases()) {
        SCOPED_TRACE(text(c));
        hold_in_parts([&]<class T>(Operands<T>& all) {
            const int64_t outputs = c.sequences * c.length * c.heads * c.dim;
            const auto doc_start = starts(c);
            const int32_t* mask = doc_start.empty() ? nullptr : doc_start.data();
            const Heads<T> x(all, c, 3), g(all, c, 6);
            relu_attention_forward<Cpu<T>>({}, all.dense(outputs), x.q, x.k, x.v, mask, shape(c, 0.5));
            relu_attention_backward<Cpu<T>>({}, g.q, g.k, g.v, all.dense(outputs), x.q, x.k, x.v, mask, shape(c, 0.5));
        });
    }
}

// The scores of a token are columns as well, and their gradients have the same stride.
TEST(Parts, Gates) {
    const int64_t H = 4, K = 6;
    const struct {
        const char* name;
        int64_t head, channel;  // strides
        bool own;               // each head has scores of its own: their gradients may take their place
    } kinds[] = {{"elementwise", K, 1, true},
                 {"headwise", 1, 0, true},
                 {"shared", 0, 1, false},
                 {"shared headwise", 0, 0, false}};
    for (const auto& kind : kinds)
        for (const auto& [act_word, act] : EnumNames<Activation>::all)
            for (const auto& [how_word, how] : EnumNames<Combine>::all)
                for (const Into into : {Into::overwrite, Into::add})
                    for (const bool in_place : {false, true}) {
                        SCOPED_TRACE(std::string(kind.name) + " " + act_word + " " + how_word);
                        hold_in_parts([&, act = act, how = how]<class T>(Operands<T>& all) {
                            const int64_t R = act == Activation::sigmoid ? 700 : 30;  // 700: worth several threads
                            GateShape n{R, H, K, {1, kind.head, kind.channel}};
                            const int64_t scores = n.score_heads() * n.score_channels();
                            const Rows<T> y = all.rows(R, H * K, 5), dout = all.rows(R, H * K, 4);
                            const Rows<T> s = all.rows(R, scores, 7), ds = all.rows(R, scores, 7);
                            const bool over_s = in_place && kind.own && into == Into::overwrite;
                            n.stride.row = s.stride;
                            gate_forward<Cpu<T>>({}, all.dense(R * H * K), y, s.data, n, act, how);
                            gate_backward<Cpu<T>>({}, in_place ? dout : all.rows(R, H * K, 6),
                                                  over_s ? s.data : ds.data, dout, y, s.data, n, act, how, into);
                        });
                    }
}

TEST(Parts, ConstantGates) {
    for (const Into into : {Into::overwrite, Into::add})
        hold_in_parts([=]<class T>(Operands<T>& all) {
            const int64_t R = 700, H = 4, K = 6;
            const GateShape n{R, H, K, {0, K, 1}};
            const Rows<T> y = all.rows(R, H * K, 5), dout = all.rows(R, H * K, 4), dy = all.rows(R, H * K, 6);
            const T* s = all.dense(H * K);
            gate_forward<Cpu<T>>({}, all.dense(R * H * K), y, s, n, Activation::silu, Combine::multiply);
            gate_backward<Cpu<T>>({}, dy, all.dense(H * K), dout, y, s, n, Activation::silu, Combine::multiply, into);
        });
}

TEST(Parts, HeadMean) {
    hold_in_parts([]<class T>(Operands<T>& all) {
        const int64_t rows = 2000, heads = 3, channels = 5;
        head_mean_forward<Cpu<T>>({}, all.dense(rows * channels), all.rows(rows, heads * channels, 7), rows, heads,
                                  channels, heads);
        head_mean_backward<Cpu<T>>({}, all.rows(rows, heads * channels, 4), all.dense(rows * channels), rows, heads,
                                   channels, heads);
    });
}

TEST(Parts, SwitchHeads) {
    hold_in_parts([]<class T>(Operands<T>& all) {
        const int64_t rows = 500, heads = 2, experts = 4, dim = 7, top_k = 2;
        const Rows<T> y = all.rows(rows, heads * experts * dim, 5), s = all.rows(rows, heads * experts, 3);
        switch_forward<Cpu<T>>({}, all.dense(rows * heads * dim), y, s, rows, heads, experts, dim, top_k);
        const Rows<T> dy = all.rows(rows, heads * experts * dim, 4), ds = all.rows(rows, heads * experts, 6);
        switch_backward<Cpu<T>>({}, dy, ds, all.dense(rows * heads * dim), y, s, rows, heads, experts, dim, top_k);
    });
}

}  // namespace
}  // namespace sluice
