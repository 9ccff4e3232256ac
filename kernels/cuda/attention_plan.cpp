#include "kernels/cuda/attention_plan.h"

#include <limits>

namespace sluice {
namespace {

constexpr auto kBf16 = CUDNN_DATA_BFLOAT16;
constexpr auto kFloat = CUDNN_DATA_FLOAT;

constexpr int64_t kForwardTensors = 5, kBackwardTensors = 10;

// What a graph has of scalars, whose numbers stand behind those of the tensors, in this order.
struct Scalars {
    CudnnGraph::Tensor scale, hidden, one = nullptr, window = nullptr;  // hidden: what a score becomes that is not seen
};
Scalars scalars_of(CudnnGraph& graph, const AttentionKey& key) {
    const bool backward = key.pass == AttentionPass::backward;
    int64_t number = backward ? kBackwardTensors : kForwardTensors;
    Scalars scalars{graph.scalar(number + 1), graph.scalar(number + 2)};
    number += 2;
    if (backward) scalars.one = graph.scalar(++number);
    if (key.n.window > 0) scalars.window = graph.scalar(++number);
    return scalars;
}
std::vector<float> scalar_values(const AttentionKey& key, double scale) {
    std::vector<float> values{float(scale), -std::numeric_limits<float>::infinity()};
    if (key.pass == AttentionPass::backward) values.push_back(1);
    if (key.n.window > 0) values.push_back(float(key.n.window));
    return values;
}

// Tensors are (sequences, heads, rows, columns). Virtual ones are dense; cuDNN asks for strides all the same.
class Builder {
 public:
    Builder(CudnnGraph& graph, const AttentionKey& key)
        : graph_(graph), key_(key), n_(key.n), scalars_(scalars_of(graph, key)) {}

    void forward() const;
    void backward() const;

 private:
    using Tensor = CudnnGraph::Tensor;

    Extents queries() const { return {n_.sequences, n_.heads, n_.length, n_.dim}; }
    Extents keys() const { return {n_.sequences, n_.kv_heads, n_.length, n_.dim}; }
    Extents scores() const { return {n_.sequences, n_.heads, n_.length, n_.length}; }
    Extents rows() const { return {n_.sequences, n_.heads, n_.length, 1}; }
    static Extents dense(const Extents& e) { return {e[1] * e[2] * e[3], e[2] * e[3], e[3], 1}; }
    static Extents transposed(const Extents& e) { return {e[0], e[1], e[3], e[2]}; }
    // Heads of dim channels side by side in rows of so many elements.
    Extents columns(int64_t stride) const { return {n_.length * stride, n_.dim, stride, 1}; }

    Tensor kept(int64_t number, const Extents& extents, int64_t stride) const {
        return graph_.tensor(kBf16, extents, columns(stride), number);
    }
    Tensor kept_transposed(int64_t number, const Extents& extents, int64_t stride) const {
        return graph_.tensor(kBf16, transposed(extents), transposed(columns(stride)), number);
    }
    Tensor kept_rows(int64_t number) const {
        return graph_.tensor(kFloat, rows(), {key_.heads * n_.length, n_.length, 1, 1}, number);
    }
    Tensor made(const Extents& extents, cudnnDataType_t type = kFloat) const {
        return graph_.tensor(type, extents, dense(extents));
    }
    Tensor computed(cudnnPointwiseMode_t mode, const Extents& extents, Tensor x, Tensor b = nullptr) const {
        const Tensor y = made(extents);
        graph_.pointwise(mode, y, kFloat, x, b);
        return y;
    }
    Tensor index(Tensor x, int64_t axis) const {
        const Tensor y = made(scores(), CUDNN_DATA_INT32);
        graph_.index(y, x, axis);
        return y;
    }
    Tensor seen(Tensor scores) const;
    Tensor sum_of_columns(Tensor x, cudnnReduceTensorOp_t op) const {
        const Tensor y = made(rows());
        graph_.reduce(op, y, x);
        return y;
    }
    void key_gradient(Tensor to, Tensor scores, Tensor rows) const;

    CudnnGraph& graph_;
    const AttentionKey& key_;
    const AttentionShape& n_;
    const Scalars scalars_;
};

// The scores of keys that a query sees: those whose index is at most its own and, with a window, larger than its own
// less the window. The engines know these masks by how they are written: row >= column, column + window > row.
Builder::Tensor Builder::seen(Tensor x) const {
    const auto hide = [&](cudnnPointwiseMode_t compare, Tensor a, Tensor b) {
        const Tensor mask = made(scores(), CUDNN_DATA_BOOLEAN), y = made(scores());
        graph_.pointwise(compare, mask, CUDNN_DATA_BOOLEAN, a, b);
        graph_.pointwise(CUDNN_POINTWISE_BINARY_SELECT, y, kFloat, x, scalars_.hidden, mask);
        x = y;
    };
    const Tensor row = index(x, 2), column = index(x, 3);
    hide(CUDNN_POINTWISE_CMP_GE, row, column);
    if (n_.window == 0) return x;
    const Tensor row_of_window = index(x, 2), column_of_window = index(x, 3);
    const Tensor end = computed(CUDNN_POINTWISE_ADD, scores(), column_of_window, scalars_.window);
    hide(CUDNN_POINTWISE_CMP_GT, end, row_of_window);
    return x;
}

void Builder::forward() const {
    const Tensor q = kept(1, queries(), key_.strides.q), k = kept_transposed(2, keys(), key_.strides.k);
    const Tensor v = kept(3, keys(), key_.strides.v), out = kept(4, queries(), key_.heads * n_.dim);
    const Tensor lse = kept_rows(5), product = made(scores());
    graph_.matmul(product, q, k);
    const Tensor scaled = computed(CUDNN_POINTWISE_MUL, scores(), product, scalars_.scale);
    const Tensor shown = seen(scaled);
    const Tensor largest = sum_of_columns(shown, CUDNN_REDUCE_TENSOR_MAX);
    const Tensor below = computed(CUDNN_POINTWISE_SUB, scores(), shown, largest);
    const Tensor power = computed(CUDNN_POINTWISE_EXP, scores(), below);
    const Tensor sum = sum_of_columns(power, CUDNN_REDUCE_TENSOR_ADD);
    const Tensor log = computed(CUDNN_POINTWISE_LOG, rows(), sum);
    graph_.pointwise(CUDNN_POINTWISE_ADD, lse, kFloat, largest, log);
    const Tensor weights = made(scores(), kBf16);
    graph_.pointwise(CUDNN_POINTWISE_DIV, weights, kFloat, power, sum);
    graph_.matmul(out, weights, v);
}

// to (key-value heads) = the sum over the heads that share one of scores^T rows.
void Builder::key_gradient(Tensor to, Tensor x, Tensor with) const {
    const Tensor turned = graph_.tensor(kBf16, transposed(scores()), transposed(dense(scores())));
    graph_.reshape(turned, x);
    if (n_.heads == n_.kv_heads) return graph_.matmul(to, turned, with);
    const Tensor of_heads = made(queries(), kBf16);
    graph_.matmul(of_heads, turned, with);
    graph_.reduce(CUDNN_REDUCE_TENSOR_ADD, to, of_heads);
}

// The product that makes dq writes dq itself. With a sum in fp32 that is kept in memory between the two, engines add
// to it in no fixed order.
void Builder::backward() const {
    const int64_t width = key_.heads * n_.dim;
    const AttentionStrides& strides = key_.strides;
    const Tensor q = kept(1, queries(), strides.q), k = kept_transposed(2, keys(), strides.k);
    const Tensor v = kept_transposed(3, keys(), strides.v), out = kept(4, queries(), width), lse = kept_rows(5);
    const Tensor dout = kept(6, queries(), width), dq = kept(7, queries(), strides.dq);
    const Tensor dk = kept(8, keys(), strides.dk), dv = kept(9, keys(), strides.dv), delta = kept_rows(10);

    const Tensor dots = computed(CUDNN_POINTWISE_MUL, queries(), dout, out);
    const Tensor sum = sum_of_columns(dots, CUDNN_REDUCE_TENSOR_ADD);
    graph_.pointwise(CUDNN_POINTWISE_MUL, delta, kFloat, sum, scalars_.one);

    const Tensor product = made(scores());
    graph_.matmul(product, q, k);
    const Tensor scaled = computed(CUDNN_POINTWISE_MUL, scores(), product, scalars_.scale);
    const Tensor below = computed(CUDNN_POINTWISE_SUB, scores(), scaled, lse);
    const Tensor weights = computed(CUDNN_POINTWISE_EXP, scores(), seen(below));
    key_gradient(dv, weights, dout);

    const Tensor dweights = made(scores());
    graph_.matmul(dweights, dout, v);
    const Tensor centred = computed(CUDNN_POINTWISE_SUB, scores(), dweights, delta);
    const Tensor dscaled = computed(CUDNN_POINTWISE_MUL, scores(), centred, weights);
    const Tensor dscores = computed(CUDNN_POINTWISE_MUL, scores(), dscaled, scalars_.scale);
    key_gradient(dk, dscores, q);

    const Tensor k_rows = graph_.tensor(kFloat, keys(), columns(strides.k));
    graph_.reshape(k_rows, k);
    graph_.matmul(dq, dscores, k_rows);
}

CudnnPlan planned(CudnnGraph& graph, const AttentionKey& key, const CudnnDescriptor& device, int64_t workspace) {
    const Builder builder(graph, key);
    if (key.pass == AttentionPass::forward)
        builder.forward();
    else
        builder.backward();
    return graph.plan(device, workspace);
}

}  // namespace

std::string to_text(const AttentionKey& k) {
    const AttentionShape& n = k.n;
    const auto number = [](int64_t x) { return std::to_string(x); };
    const auto three = [&](int64_t a, int64_t b, int64_t c) { return number(a) + " " + number(b) + " " + number(c); };
    std::string text = k.pass == AttentionPass::forward ? "forward, " : "backward, ";
    text += number(n.sequences) + " x " + number(n.length) + ", heads " + number(n.heads) + "/" + number(n.kv_heads) +
            " of " + number(k.heads) + ", dim " + number(n.dim) + ", window " + number(n.window) + ", strides " +
            three(k.strides.q, k.strides.k, k.strides.v);
    if (k.pass == AttentionPass::backward) text += ", " + three(k.strides.dq, k.strides.dk, k.strides.dv);
    return text;
}

AttentionPlan::AttentionPlan(const AttentionKey& key, const CudnnDescriptor& device, int64_t workspace)
    : key_(key), plan_(planned(graph_, key_, device, workspace)) {}

void AttentionPlan::queue(cudnnHandle_t handle, const AttentionForwardTensors& x, double scale, void* workspace) const {
    queue(handle, {x.q, x.k, x.v, x.out, x.lse}, scale, workspace);
}
void AttentionPlan::queue(cudnnHandle_t handle, const AttentionBackwardTensors& x, double scale,
                          void* workspace) const {
    queue(handle, {x.q, x.k, x.v, x.out, x.lse, x.dout, x.dq, x.dk, x.dv, x.delta}, scale, workspace);
}
void AttentionPlan::queue(cudnnHandle_t handle, std::initializer_list<const void*> tensors, double scale,
                          void* workspace) const {
    std::vector<float> scalars = scalar_values(key_, scale);
    std::vector<void*> pointers;
    for (const void* tensor : tensors) pointers.push_back(const_cast<void*>(tensor));
    for (float& scalar : scalars) pointers.push_back(&scalar);
    plan_.queue(handle, pointers, workspace);
}

}  // namespace sluice
