#include "layers/gate.h"

namespace sluice {

template <class B>
Gates<B>::Gates(int64_t begin, const ModelSpec& model, int64_t layer, const MeshCoord& coord)
    : hidden_(model.hidden), coord_(coord), end_(begin) {
    for (const GateSpec& spec : model.gates.at(layer)) {
        const GatedShape whole = gated_shape(spec.position, model);
        Gate gate{spec, whole, whole, {}, model.hidden, spec.input_width ? spec.input_width : model.hidden};
        if (gate.at_output()) {  // acts on the rows that this rank holds, and is not split by head
            gate.sharding.gradient = coord.sequence ? ShardSpec::over_tensor : ShardSpec::whole;
        } else {
            const ShardSpec heads = shard_by_head(whole.heads, coord);
            gate.n.heads = whole.heads / heads.parts;
            gate.sharding = heads;
            if (spec.heads == HeadSharing::shared) gate.sharding = ShardSpec::partial();
        }
        gate.begin = end_;
        if (gate.in_product()) end_ += gate.rows();
        gates_.push_back(gate);
    }
}

template <class B>
bool Gates<B>::any(Position position) const {
    for (const Gate& g : gates_)
        if (g.spec.position == position) return true;
    return false;
}

template <class B>
std::vector<int64_t> Gates<B>::Gate::constant_shape() const {
    const bool by_head = spec.heads == HeadSharing::specific && spec.position != Position::output;
    const bool by_channel = spec.granularity == Granularity::elementwise;
    if (by_head && by_channel) return {whole.heads, whole.channels};
    return {by_head ? whole.heads : by_channel ? whole.channels : 1};
}

// A gate passes 4 times over what it gates, forward and backward, and 4 times over an elementwise score, which is as
// large; 5 times over channels of x that are copied, and over what is activated between two maps. A mean over heads is
// summed over the tensor group, and so is its gradient.
template <class B>
Cost Gates<B>::cost(const Workload& load) const {
    Cost c;
    Params none;
    matrices(ParameterCounter(c, coord_), none, "", 0);
    others(ParameterCounter(c, coord_), none, "", 0);
    c.gates = c.parameters;
    for (const Gate& g : gates_) {
        const double slices = coord_.sequence && g.at_output() ? double(coord_.tensor) : 1;
        c.elements +=
            (g.spec.granularity == Granularity::elementwise ? 8 : 4) * double(g.n.heads * g.n.channels) / slices;
        c.elements += 5 * double((g.narrow() ? g.input : 0) + (g.activates_low() ? g.spec.rank : 0)) / slices;
        if (g.spec.heads != HeadSharing::averaged) continue;
        const double mean = load.item * double(load.tokens * g.score_channels());
        c.forward.tensor.all_reduce(mean, coord_.tensor);
        c.backward.tensor.all_reduce(mean, coord_.tensor);
    }
    return c;
}

// All that distinguishes granularity, sharing and constants: the dimensions over which a score is broadcast (stride 0).
template <class B>
GateShape Gates<B>::Gate::shape(int64_t tokens, int64_t row_stride) const {
    GateShape s{tokens, n.heads, n.channels, {}};
    s.stride.channel = spec.granularity == Granularity::elementwise ? 1 : 0;
    s.stride.head = spec.heads == HeadSharing::specific ? score_channels() : 0;
    s.stride.row = spec.input == GateInput::none ? 0 : row_stride;
    return s;
}

template <class B>
Rows<typename B::T> Gates<B>::forward(Position position, const Pass<B>& pass, const Params& w, std::vector<Acts>& acts,
                                      Rows<T> y, Rows<T> product, const T* x) const {
    const int64_t tokens = this->tokens(position, pass);
    for (size_t j = 0; j < gates_.size(); j++) {
        const Gate& g = gates_[j];
        if (g.spec.position != position) continue;
        Acts& a = acts[j];
        Rows<T> score = product.columns(g.begin);
        const T* scores = w[j].constant;
        if (g.spec.input == GateInput::hidden) {
            if (g.own_product()) {
                score = {a.score, g.rows()};
                project(g, pass, w[j], a, x, tokens);
            }
            if (g.spec.bias) bias_forward<B>(pass.stream, score, w[j].bias, tokens, g.rows());
            scores = score.data;
        }
        if (g.spec.heads == HeadSharing::averaged) {
            head_mean_forward<B>(pass.stream, a.mean, score, tokens, g.n.heads, g.score_channels(),
                                 g.n.heads * coord_.tensor);
            pass.mesh->tensor->all_reduce(a.mean, tokens * g.score_channels());  // partner: all_reduce(dmean)
            score = {a.mean, g.score_channels()};
            scores = a.mean;
        }
        gate_forward<B>(pass.stream, a.out, y, scores, g.shape(tokens, score.stride), g.factor(), g.spec.combine);
        a.y = y;
        y = {a.out, g.n.heads * g.n.channels};
    }
    return y;
}

template <class B>
void Gates<B>::project(const Gate& g, const Pass<B>& pass, const ParamsOf<T>& w, Acts& a, const T* x,
                       int64_t tokens) const {
    if (g.narrow()) {
        copy_rows<B>(pass.stream, {a.input, g.input}, {x, hidden_}, tokens, g.input, Into::overwrite);
        x = a.input;
    }
    int64_t width = g.input;
    if (g.spec.rank) {
        linear_forward<B>(pass.stream, a.low, x, w.down, tokens, g.input, g.spec.rank);
        x = a.low;
        width = g.spec.rank;
    }
    if (g.activates_low()) {
        activation_forward<B>(pass.stream, a.activated_low, a.low, tokens * g.spec.rank, Activation::silu);
        x = a.activated_low;
    }
    linear_forward<B>(pass.stream, a.score, x, w.weight, tokens, width, g.rows());
}

template <class B>
void Gates<B>::project_backward(const Gate& g, const Pass<B>& pass, const ParamsOf<T>& w, ParamsOf<typename B::G>& dw,
                                const Acts& a, const Scratch& s, const T* dscore, T* dx, const T* x,
                                int64_t tokens) const {
    const T *dy = dscore, *map = w.weight;  // of the map that reads x
    typename B::G* dmap = dw.weight;
    int64_t width = g.rows();
    if (g.spec.rank) {
        const int64_t rank = g.spec.rank;
        linear_backward_weight<B>(pass.stream, dw.weight, dscore, g.activates_low() ? a.activated_low : a.low, tokens,
                                  rank, g.rows());
        linear_backward_input<B>(pass.stream, s.dlow, dscore, w.weight, tokens, rank, g.rows(), Into::overwrite);
        if (g.activates_low())
            activation_backward<B>(pass.stream, s.dlow, s.dlow, a.low, tokens * rank, Activation::silu);
        dy = s.dlow;
        map = w.down;
        dmap = dw.down;
        width = rank;
    }
    linear_backward_weight<B>(pass.stream, dmap, dy, g.narrow() ? a.input : x, tokens, g.input, width);
    if (!g.narrow()) return linear_backward_input<B>(pass.stream, dx, dy, map, tokens, hidden_, width, Into::add);
    linear_backward_input<B>(pass.stream, s.dinput, dy, map, tokens, g.input, width, Into::overwrite);
    copy_rows<B>(pass.stream, {dx, hidden_}, {s.dinput, g.input}, tokens, g.input, Into::add);
}

template <class B>
void Gates<B>::probe(const Pass<B>& pass, const Params& w, const std::vector<Acts>& acts, Rows<const T> product,
                     const LayerProbe<B>& probe) const {
    for (size_t j = 0; j < gates_.size(); j++) {
        const Gate& g = gates_[j];
        const Acts& a = acts[j];
        Rows<const T> score = g.in_product() ? product.columns(g.begin) : Rows<const T>{a.score, g.rows()};
        if (g.spec.input == GateInput::none) score = {w[j].constant, 0};
        if (g.spec.heads == HeadSharing::averaged) score = {a.mean, g.score_channels()};
        gate_sums<B>(pass.stream, probe.gates[j], score.data, g.shape(tokens(g.spec.position, pass), score.stride),
                     g.factor());
    }
}

template <class B>
void Gates<B>::backward(Position position, const Pass<B>& pass, const Params& w, Gradients& dw, std::vector<Acts>& acts,
                        const Scratch& s, Rows<T> dy, Rows<T> dproduct, Rows<const T> product, T* dx,
                        const T* x) const {
    const int64_t tokens = this->tokens(position, pass);
    for (size_t j = gates_.size(); j-- > 0;) {
        const Gate& g = gates_[j];
        if (g.spec.position != position) continue;
        const Acts& a = acts[j];
        const auto apply = [&](auto* ds, Rows<const T> score, Into into) {
            gate_backward<B>(pass.stream, dy, ds, dy, a.y, score.data, g.shape(tokens, score.stride), g.factor(),
                             g.spec.combine, into);
        };
        if (g.spec.input == GateInput::none) {
            apply(dw[j].constant, {w[j].constant, 0}, Into::add);
            continue;
        }
        // dscore of an output gate overwrites its scores: nothing reads these afterwards.
        const Rows<T> dscore =
            g.in_product() ? dproduct.columns(g.begin) : Rows<T>{g.at_output() ? a.score : s.dscore[j], g.rows()};
        if (g.spec.heads == HeadSharing::averaged) {
            apply(s.dmean, {a.mean, g.score_channels()}, Into::overwrite);
            pass.mesh->tensor->all_reduce(s.dmean, tokens * g.score_channels());
            head_mean_backward<B>(pass.stream, dscore, s.dmean, tokens, g.n.heads, g.score_channels(),
                                  g.n.heads * coord_.tensor);
        } else {
            apply(dscore.data, g.in_product() ? product.columns(g.begin) : Rows<const T>{a.score, g.rows()},
                  Into::overwrite);
        }
        if (g.spec.bias) bias_backward<B>(pass.stream, dw[j].bias, dscore, tokens, g.rows());
        if (g.at_output()) project_backward(g, pass, w[j], dw[j], a, s, dscore.data, dx, x, tokens);
    }
}

template <class B>
void Gates<B>::backward_products(const Pass<B>& pass, const Params& w, Gradients& dw, std::vector<Acts>& acts,
                                 const Scratch& s, T* dx, const T* x) const {
    for (size_t j = gates_.size(); j-- > 0;)
        if (const Gate& g = gates_[j]; g.own_product() && !g.at_output())
            project_backward(g, pass, w[j], dw[j], acts[j], s, s.dscore[j], dx, x, pass.tokens());
}

#define INSTANTIATE(B) template class Gates<B>;
SLUICE_BACKENDS(INSTANTIATE)
#define INSTANTIATE_PLAN(B)                                                         \
    template Gates<B>::Gates(int64_t, const ModelSpec&, int64_t, const MeshCoord&); \
    template bool Gates<B>::any(Position) const;                                    \
    template Cost Gates<B>::cost(const Workload&) const;                            \
    template std::vector<int64_t> Gates<B>::Gate::constant_shape() const;
SLUICE_PLANNED(INSTANTIATE_PLAN)

}  // namespace sluice
