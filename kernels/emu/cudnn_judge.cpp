// What cudnnBackendFinalize refuses, and which graphs there are engines for.
#include <algorithm>
#include <set>

#include "kernels/emu/cudnn_held.h"
#include "kernels/emu/emu.h"

namespace sluice::emu::cudnn {
namespace {

Extents four(const Held& held, cudnnBackendAttributeName_t name) {
    const auto values = held.all<int64_t>(name);
    require(values.size() == kAxes, "a tensor has other than four axes", CUDNN_STATUS_NOT_SUPPORTED);
    Extents e;
    std::copy(values.begin(), values.end(), e.begin());
    return e;
}

void judge_tensor(const Held& held) {
    const TensorView tensor(held);
    for (int i = 0; i < kAxes; i++) {
        require(tensor.extents[size_t(i)] > 0, "an extent is below 1");
        require(tensor.strides[size_t(i)] >= 0, "a stride is below 0");
    }
    require(tensor.alignment > 0 && tensor.alignment % int64_t(tensor.item()) == 0,
            "the alignment is no multiple of an element");
    require(!tensor.is_virtual || !tensor.by_value, "a virtual tensor is by value");
    require(!tensor.by_value || (elements(tensor.extents) == 1 && tensor.type == CUDNN_DATA_FLOAT),
            "by value there are numbers in float alone", CUDNN_STATUS_NOT_SUPPORTED);
}

int inputs_of(cudnnPointwiseMode_t mode) {
    switch (mode) {
        case CUDNN_POINTWISE_EXP:
        case CUDNN_POINTWISE_LOG:
        case CUDNN_POINTWISE_IDENTITY:
        case CUDNN_POINTWISE_GEN_INDEX:
            return 1;
        case CUDNN_POINTWISE_BINARY_SELECT:
            return 3;
        default:
            return 2;
    }
}
bool is_comparison(cudnnPointwiseMode_t mode) {
    return mode == CUDNN_POINTWISE_CMP_GT || mode == CUDNN_POINTWISE_CMP_GE || mode == CUDNN_POINTWISE_CMP_LT;
}

// Whether x has y's extents, or 1 where it is broadcast.
bool broadcasts(const Extents& x, const Extents& y) {
    for (size_t i = 0; i < kAxes; i++)
        if (x[i] != y[i] && x[i] != 1) return false;
    return true;
}
bool divides(const Extents& y, const Extents& x) {
    for (size_t i = 0; i < kAxes; i++)
        if (x[i] % y[i] != 0) return false;
    return true;
}

void judge_pointwise(const Operation& o, const TensorView& x, const TensorView& y) {
    const int inputs = inputs_of(o.mode);
    require((inputs > 1) == bool(o.b), "a pointwise operation has another number of inputs");
    require((inputs == 3) == bool(o.t), "t is for a selection, and it has one");
    for (const Held* input : {o.x, o.b, o.t})
        if (input) require(broadcasts(TensorView(*input).extents, y.extents), "an input's extents do not fit");
    if (o.t) require(TensorView(*o.t).type == CUDNN_DATA_BOOLEAN, "a selection's t is not boolean");
    if (is_comparison(o.mode)) require(y.type == CUDNN_DATA_BOOLEAN, "a comparison's result is not boolean");
    if (o.mode == CUDNN_POINTWISE_GEN_INDEX) {
        require(o.axis >= 0 && o.axis < kAxes, "an index is of no axis");
        require(x.extents == y.extents && y.type == CUDNN_DATA_INT32, "an index is of another shape or type");
    }
}

// y = a b of the last two axes. The heads of one may be a multiple of the other's.
void judge_matmul(const TensorView& a, const TensorView& b, const TensorView& y) {
    require(a.extents[3] == b.extents[2], "depths of a product differ");
    require(a.extents[2] == y.extents[2] && b.extents[3] == y.extents[3], "a product has other rows or columns");
    for (size_t i = 0; i < 2; i++) {
        const int64_t most = std::max(a.extents[i], b.extents[i]), least = std::min(a.extents[i], b.extents[i]);
        require(most == y.extents[i] && most % least == 0, "batches of a product do not fit");
    }
}

void judge_operation(const Held& held) {
    const Operation o(held);
    const TensorView x(*o.x), y(*o.y);
    require(!y.by_value, "a result is by value");
    if (o.kind == Operation::Kind::pointwise)
        judge_pointwise(o, x, y);
    else if (o.kind == Operation::Kind::matmul)
        judge_matmul(x, TensorView(*o.b), y);
    else if (o.kind == Operation::Kind::reduction)
        require(divides(y.extents, x.extents), "a reduction's extents do not divide");
    else
        require(elements(x.extents) == elements(y.extents), "a reshape has another number of elements");
}

std::vector<Operation> operations_of(const Held& graph) {
    std::vector<Operation> operations;
    for (const Shared& held : graph.values.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).descriptors)
        operations.emplace_back(*held);
    return operations;
}

// Every tensor has one descriptor and number, and at most one operation makes it, before others read it.
void judge_graph(const Held& graph) {
    for (const Shared& held : graph.values.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).descriptors)
        require(held->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR ||
                    held->type == CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR ||
                    held->type == CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR ||
                    held->type == CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR,
                "what is no operation is in the graph");
    std::map<int64_t, const Held*> by_number;
    std::set<const Held*> made, read;
    for (const Operation& o : operations_of(graph)) {
        for (const Held* input : {o.x, o.b, o.t}) {
            if (!input) continue;
            require(made.contains(input) || !TensorView(*input).is_virtual, "nothing makes a virtual tensor");
            read.insert(input);
        }
        require(made.insert(o.y).second && !read.contains(o.y), "a tensor is made twice, or read before");
        for (const Held* tensor : {o.x, o.b, o.t, o.y}) {
            if (!tensor) continue;
            const auto [it, is_new] = by_number.emplace(TensorView(*tensor).number, tensor);
            require(it->second == tensor, "two tensors have one number", CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES);
        }
    }
}

void judge_pack(const Held& pack) {
    const auto numbers = pack.all<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    const std::set<int64_t> different(numbers.begin(), numbers.end());
    require(different.size() == numbers.size(), "two pointers are of one tensor");
    require(pack.values.at(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS).count == int64_t(numbers.size()),
            "there are not as many pointers as tensors");
}

void require_type(const Held& held, cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type) {
    if (const Shared other = held.descriptor(name); other)
        require(other->type == type, "a descriptor of another type", CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE);
}

}  // namespace

size_t TensorView::item() const {
    return type == CUDNN_DATA_BOOLEAN                               ? 1
           : type == CUDNN_DATA_BFLOAT16 || type == CUDNN_DATA_HALF ? 2
           : type == CUDNN_DATA_DOUBLE                              ? 8
                                                                    : 4;
}

TensorView::TensorView(const Held& held)
    : type(held.one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE)),
      extents(four(held, CUDNN_ATTR_TENSOR_DIMENSIONS)),
      strides(four(held, CUDNN_ATTR_TENSOR_STRIDES)),
      number(held.one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID)),
      alignment(held.one<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT)),
      is_virtual(held.one<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL)),
      by_value(held.one<bool>(CUDNN_ATTR_TENSOR_IS_BY_VALUE)) {}

Operation::Operation(const Held& held) {
    const auto of = [&](cudnnBackendAttributeName_t name) { return held.descriptor(name).get(); };
    if (held.type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR) {
        kind = Kind::pointwise;
        const Held& how = *of(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
        mode = how.one<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
        axis = how.one<int64_t>(CUDNN_ATTR_POINTWISE_AXIS, -1);
        x = of(CUDNN_ATTR_OPERATION_POINTWISE_XDESC), y = of(CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
        b = of(CUDNN_ATTR_OPERATION_POINTWISE_BDESC), t = of(CUDNN_ATTR_OPERATION_POINTWISE_TDESC);
    } else if (held.type == CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR) {
        kind = Kind::matmul;
        x = of(CUDNN_ATTR_OPERATION_MATMUL_ADESC), b = of(CUDNN_ATTR_OPERATION_MATMUL_BDESC);
        y = of(CUDNN_ATTR_OPERATION_MATMUL_CDESC);
    } else if (held.type == CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR) {
        kind = Kind::reduction;
        reduce = of(CUDNN_ATTR_OPERATION_REDUCTION_DESC)->one<cudnnReduceTensorOp_t>(CUDNN_ATTR_REDUCTION_OPERATOR);
        x = of(CUDNN_ATTR_OPERATION_REDUCTION_XDESC), y = of(CUDNN_ATTR_OPERATION_REDUCTION_YDESC);
    } else {
        kind = Kind::reshape;
        x = of(CUDNN_ATTR_OPERATION_RESHAPE_XDESC), y = of(CUDNN_ATTR_OPERATION_RESHAPE_YDESC);
    }
}

void judge(const Held& held) {
    constexpr auto kTensor = CUDNN_BACKEND_TENSOR_DESCRIPTOR;
    for (const auto name :
         {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_ATTR_OPERATION_POINTWISE_YDESC,
          CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, CUDNN_ATTR_OPERATION_MATMUL_ADESC,
          CUDNN_ATTR_OPERATION_MATMUL_BDESC, CUDNN_ATTR_OPERATION_MATMUL_CDESC, CUDNN_ATTR_OPERATION_REDUCTION_XDESC,
          CUDNN_ATTR_OPERATION_REDUCTION_YDESC, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, CUDNN_ATTR_OPERATION_RESHAPE_YDESC})
        require_type(held, name, kTensor);
    require_type(held, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    require_type(held, CUDNN_ATTR_OPERATION_MATMUL_DESC, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    require_type(held, CUDNN_ATTR_OPERATION_REDUCTION_DESC, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    require_type(held, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    require_type(held, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    require_type(held, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    require_type(held, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    switch (held.type) {
        case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
            return judge_tensor(held);
        case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
        case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
        case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
            return judge_operation(held);
        case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
            return judge_graph(held);
        case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
            return judge_pack(held);
        default:
            return;
    }
}

// ---------------------------------------------------------------- engines
namespace {

// Reads a graph operation by operation, each with the inputs that it must have; `ok` until one is another.
class Reader {
 public:
    explicit Reader(const Held& graph) : operations_(operations_of(graph)) {}

    bool ok = true;
    bool all_read() const { return ok && at_ == operations_.size(); }
    bool next_is(cudnnPointwiseMode_t mode) const {
        return at_ < operations_.size() && operations_[at_].kind == Operation::Kind::pointwise &&
               operations_[at_].mode == mode;
    }

    // Each returns the result. Null inputs may be any tensor that is kept.
    const Held* matmul(const Held* a, const Held* b, bool is_kept = false) {
        const Operation* o = take(Operation::Kind::matmul, is_kept);
        return o && is(o->x, a) && is(o->b, b) ? o->y : fault();
    }
    const Held* pointwise(cudnnPointwiseMode_t mode, const Held* x, const Held* b, const Held* t = nullptr,
                          bool is_kept = false) {
        const Operation* o = take(Operation::Kind::pointwise, is_kept);
        return o && o->mode == mode && is(o->x, x) && o->t == t && (o->b == b || (!b && o->b && is(o->b, b))) ? o->y
                                                                                                              : fault();
    }
    // By a scalar.
    const Held* scaled(const Held* x, bool is_kept = false) {
        const Operation* o = take(Operation::Kind::pointwise, is_kept);
        return o && o->mode == CUDNN_POINTWISE_MUL && o->x == x && o->b && TensorView(*o->b).by_value ? o->y : fault();
    }
    const Held* index(const Held* x, int64_t axis) {
        const Operation* o = take(Operation::Kind::pointwise, false);
        return o && o->mode == CUDNN_POINTWISE_GEN_INDEX && o->x == x && o->axis == axis ? o->y : fault();
    }
    const Held* reduce(cudnnReduceTensorOp_t op, const Held* x, bool is_kept = false) {
        const Operation* o = take(Operation::Kind::reduction, is_kept);
        return o && o->reduce == op && o->x == x ? o->y : fault();
    }
    const Held* reshape(const Held* x) {
        const Operation* o = take(Operation::Kind::reshape, false);
        return o && o->x == x ? o->y : fault();
    }
    const Held* fault() {
        ok = false;
        return nullptr;
    }
    const Operation& operation(size_t i) const { return operations_[i]; }
    bool next_is_reduction() const {
        return at_ < operations_.size() && operations_[at_].kind == Operation::Kind::reduction;
    }

 private:
    const Operation* take(Operation::Kind kind, bool is_kept) {
        if (!ok || at_ == operations_.size()) return nullptr;
        const Operation& o = operations_[at_++];
        return o.kind == kind && TensorView(*o.y).is_virtual != is_kept ? &o : nullptr;
    }
    static bool is(const Held* tensor, const Held* wanted) {
        return wanted ? tensor == wanted : !TensorView(*tensor).is_virtual;
    }
    std::vector<Operation> operations_;
    size_t at_ = 0;
};

const Held* read_masks(Reader& r, const Held* x) {
    for (int i = 0; i < 2 && r.ok && r.next_is(CUDNN_POINTWISE_GEN_INDEX); i++) {
        const Held *row = r.index(x, 2), *column = r.index(x, 3), *mask = nullptr;
        if (i == 0)
            mask = r.pointwise(CUDNN_POINTWISE_CMP_GE, row, column);
        else
            mask = r.pointwise(CUDNN_POINTWISE_CMP_GT, r.pointwise(CUDNN_POINTWISE_ADD, column, nullptr), row);
        x = r.pointwise(CUDNN_POINTWISE_BINARY_SELECT, x, nullptr, mask);
    }
    return x;
}

bool is_forward(const Held& graph) {
    Reader r(graph);
    const Held* s = read_masks(r, r.scaled(r.matmul(nullptr, nullptr)));
    const Held* largest = r.reduce(CUDNN_REDUCE_TENSOR_MAX, s);
    const Held* power = r.pointwise(CUDNN_POINTWISE_EXP, r.pointwise(CUDNN_POINTWISE_SUB, s, largest), nullptr);
    const Held* sum = r.reduce(CUDNN_REDUCE_TENSOR_ADD, power);
    const Held* log = r.pointwise(CUDNN_POINTWISE_LOG, sum, nullptr);
    r.pointwise(CUDNN_POINTWISE_ADD, largest, log, nullptr, true);
    r.matmul(r.pointwise(CUDNN_POINTWISE_DIV, power, sum), nullptr, true);
    return r.all_read();
}

// scores^T times what is kept, then where heads share a key-value head their sum.
void read_key_gradient(Reader& r, const Held* scores) {
    const Held* turned = r.reshape(scores);
    Reader direct = r;
    direct.matmul(turned, nullptr, true);
    if (direct.ok) {
        r = direct;
        return;
    }
    r.reduce(CUDNN_REDUCE_TENSOR_ADD, r.matmul(turned, nullptr), true);
}

struct Backward {
    bool known, sums_in_order;
};
Backward read_backward(const Held& graph) {
    Reader r(graph);
    const Held* dots = r.pointwise(CUDNN_POINTWISE_MUL, nullptr, nullptr);
    const Held* delta = r.scaled(r.reduce(CUDNN_REDUCE_TENSOR_ADD, dots), true);
    const Held* below = r.pointwise(CUDNN_POINTWISE_SUB, r.scaled(r.matmul(nullptr, nullptr)), nullptr);
    const Held* weights = r.pointwise(CUDNN_POINTWISE_EXP, read_masks(r, below), nullptr);
    read_key_gradient(r, weights);
    const Held* centred = r.pointwise(CUDNN_POINTWISE_SUB, r.matmul(nullptr, nullptr), delta);
    const Held* scores = r.scaled(r.pointwise(CUDNN_POINTWISE_MUL, centred, weights));
    read_key_gradient(r, scores);
    const Held* k = r.ok ? r.reshape(r.operation(3).b) : nullptr;
    const Held* dq = r.matmul(scores, k, true);
    if (!r.ok) return {false, false};
    const bool direct = TensorView(*dq).type == CUDNN_DATA_BFLOAT16;
    if (!direct) r.pointwise(CUDNN_POINTWISE_IDENTITY, dq, nullptr, nullptr, true);
    return {r.all_read(), direct};
}

// Kept tensors of queries, keys and values are bf16, in rows of 16-byte pieces; sums of rows are float.
bool suits(const Held& graph) {
    for (const Operation& o : operations_of(graph))
        for (const Held* held : {o.x, o.b, o.y}) {
            if (!held) continue;
            const TensorView tensor(*held);
            if (tensor.is_virtual || tensor.by_value || tensor.extents[3] == 1) continue;
            if (tensor.type == CUDNN_DATA_FLOAT) continue;  // sums of dq
            if (tensor.type != CUDNN_DATA_BFLOAT16) return false;
            const int64_t columns = tensor.strides[3] == 1 ? tensor.extents[3] : tensor.extents[2];
            if (columns % 8 != 0 || columns > 128) return false;
            for (const int64_t stride : tensor.strides)
                if (stride != 1 && stride % 8 != 0) return false;
        }
    return true;
}

}  // namespace

std::vector<Engine> engines_of(const Held& graph) {
    if (options().attention == Attention::none || !suits(graph)) return {};
    if (is_forward(graph)) return {{90, false, true}, {2, true, false}, {1, true, false}};
    const Backward backward = read_backward(graph);
    if (!backward.known) return {};
    return {{91, false, true}, {6, backward.sums_in_order, false}, {7, backward.sums_in_order, false}};
}

// As the library was seen to ask for.
int64_t workspace_of(const Held& graph, const Engine& engine) {
    if (engine.number == 1) return 0;
    if (engine.number == 2 || engine.number == 90) return 256;
    const std::vector<Operation> operations = operations_of(graph);
    const Extents q = TensorView(*operations.front().x).extents;
    const int64_t rows = q[0] * q[1] * q[2];
    const bool shares = std::any_of(operations.begin(), operations.end(), [](const Operation& o) {
        return o.kind == Operation::Kind::reduction && TensorView(*o.y).type == CUDNN_DATA_BFLOAT16;
    });
    const int64_t of_scores = engine.repeats_bits ? rows * q[2] * 2 : rows * q[3] * 4;
    const int64_t bytes = of_scores + (shares ? 2 * rows * q[3] * 2 : 0) + 256;
    return options().attention == Attention::greedy ? 2 * bytes : bytes;
}

Refusal plan_refusal() {
    if (options().attention != Attention::broken) return {CUDNN_STATUS_SUCCESS, ""};
    return {CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE, "libcudnn_engines_runtime_compiled.so.9 is not there"};
}

}  // namespace sluice::emu::cudnn
