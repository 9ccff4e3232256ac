#include "kernels/cuda/cudnn_graph.h"

#include <algorithm>
#include <numeric>

namespace sluice {
namespace {

constexpr int64_t kAligned = 16;  // bytes: pointers of tensors

}  // namespace

void cudnn_done(cudnnStatus_t status, const char* what) {
    if (status == CUDNN_STATUS_SUCCESS) return;
    std::array<char, 1024> more{};
    cudnnGetLastErrorString(more.data(), more.size());
    std::string text = std::string(what) + ": " + cudnnGetErrorString(status);
    if (more[0]) text += std::string(": ") + more.data();
    std::replace(text.begin(), text.end(), '\n', ' ');
    throw CudnnError(text);
}

// ---------------------------------------------------------------- descriptors
CudnnDescriptor::CudnnDescriptor(cudnnBackendDescriptorType_t type) {
    cudnn_done(cudnnBackendCreateDescriptor(type, &descriptor_), "a descriptor");
}

CudnnDescriptor::~CudnnDescriptor() {
    if (descriptor_) cudnnBackendDestroyDescriptor(descriptor_);
}

CudnnDescriptor& CudnnDescriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                                      const void* values) {
    cudnn_done(cudnnBackendSetAttribute(descriptor_, name, type, count, values), "an attribute");
    return *this;
}

CudnnDescriptor& CudnnDescriptor::finalise() {
    cudnn_done(cudnnBackendFinalize(descriptor_), "a descriptor");
    return *this;
}

int64_t CudnnDescriptor::get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                             void* values) const {
    int64_t found = 0;
    cudnn_done(cudnnBackendGetAttribute(descriptor_, name, type, count, &found, values), "an attribute");
    return found;
}

CudnnDescriptor cudnn_device(cudnnHandle_t handle) {
    CudnnDescriptor device(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    device.set(CUDNN_ATTR_DEVICEPROP_HANDLE, handle).finalise();
    return device;
}
CudnnDescriptor cudnn_device(const std::string& json) {
    CudnnDescriptor device(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    device.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, int64_t(json.size()), json.data());
    device.finalise();
    return device;
}

// ---------------------------------------------------------------- graphs
CudnnGraph::Tensor CudnnGraph::tensor(cudnnDataType_t type, const Extents& extents, const Extents& strides,
                                      int64_t number) {
    CudnnDescriptor& tensor = descriptors_.emplace_back(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    // Numbers of tensors that are not kept are above all others.
    const int64_t unique = number ? number : int64_t(1000 + descriptors_.size());
    tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, int64_t(extents.size()), extents.data())
        .set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, int64_t(strides.size()), strides.data())
        .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, unique)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kAligned)
        .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, number == 0)
        .finalise();
    return tensor.get();
}

CudnnGraph::Tensor CudnnGraph::scalar(int64_t number) {
    constexpr Extents kOne{1, 1, 1, 1};
    CudnnDescriptor& tensor = descriptors_.emplace_back(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_DATA_FLOAT)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, int64_t(kOne.size()), kOne.data())
        .set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, int64_t(kOne.size()), kOne.data())
        .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, number)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kAligned)
        .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, false)
        .set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, true)
        .finalise();
    return tensor.get();
}

void CudnnGraph::operation(CudnnDescriptor operation) {
    operation.finalise();
    operations_.push_back(operation.get());
    descriptors_.push_back(std::move(operation));
}

void CudnnGraph::pointwise(cudnnPointwiseMode_t mode, Tensor y, cudnnDataType_t type, Tensor x, Tensor b, Tensor t) {
    CudnnDescriptor& kind = descriptors_.emplace_back(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    kind.set(CUDNN_ATTR_POINTWISE_MODE, mode).set(CUDNN_ATTR_POINTWISE_MATH_PREC, type).finalise();
    CudnnDescriptor made(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    made.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kind.get())
        .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x)
        .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    if (b) made.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    if (t) made.set(CUDNN_ATTR_OPERATION_POINTWISE_TDESC, t);
    operation(std::move(made));
}

void CudnnGraph::index(Tensor y, Tensor x, int64_t axis) {
    CudnnDescriptor& kind = descriptors_.emplace_back(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    kind.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_GEN_INDEX)
        .set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_INT32)
        .set(CUDNN_ATTR_POINTWISE_AXIS, axis)
        .finalise();
    CudnnDescriptor made(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    made.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kind.get())
        .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x)
        .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    operation(std::move(made));
}

void CudnnGraph::matmul(Tensor y, Tensor a, Tensor b) {
    CudnnDescriptor& kind = descriptors_.emplace_back(CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    kind.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT).finalise();
    CudnnDescriptor made(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    made.set(CUDNN_ATTR_OPERATION_MATMUL_ADESC, a)
        .set(CUDNN_ATTR_OPERATION_MATMUL_BDESC, b)
        .set(CUDNN_ATTR_OPERATION_MATMUL_CDESC, y)
        .set(CUDNN_ATTR_OPERATION_MATMUL_DESC, kind.get());
    operation(std::move(made));
}

void CudnnGraph::reduce(cudnnReduceTensorOp_t op, Tensor y, Tensor x) {
    CudnnDescriptor& kind = descriptors_.emplace_back(CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    kind.set(CUDNN_ATTR_REDUCTION_OPERATOR, op).set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT).finalise();
    CudnnDescriptor made(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    made.set(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x)
        .set(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y)
        .set(CUDNN_ATTR_OPERATION_REDUCTION_DESC, kind.get());
    operation(std::move(made));
}

void CudnnGraph::reshape(Tensor y, Tensor x) {
    CudnnDescriptor made(CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    made.set(CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x).set(CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    operation(std::move(made));
}

// ---------------------------------------------------------------- plans
namespace {

// What the heuristics name, the likely fastest first.
std::vector<CudnnDescriptor> configs_of(const CudnnDescriptor& graph, const CudnnDescriptor& device) {
    CudnnDescriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph.get())
        .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_HEUR_MODE_A)
        .set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, device.get())
        .finalise();
    const auto results = [&](int64_t count, void* to) {
        return heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, to);
    };
    std::vector<CudnnDescriptor> configs;
    for (int64_t i = results(0, nullptr); i > 0; i--) configs.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (configs.empty()) return configs;
    std::vector<cudnnBackendDescriptor_t> pointers;
    for (const CudnnDescriptor& config : configs) pointers.push_back(config.get());
    const int64_t found = results(int64_t(pointers.size()), pointers.data());
    while (int64_t(configs.size()) > found) configs.pop_back();  // it names fewer than it announces
    return configs;
}

bool repeats_bits(const CudnnDescriptor& engine) {
    std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> notes{};
    const int64_t found =
        engine.get(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, int64_t(notes.size()), notes.data());
    const auto end = notes.begin() + std::min(found, int64_t(notes.size()));
    return std::find(notes.begin(), end, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) == end;
}

}  // namespace

CudnnPlan CudnnGraph::plan(const CudnnDescriptor& device, int64_t most) {
    CudnnDescriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, int64_t(operations_.size()),
              operations_.data());
    graph.finalise();
    std::string why = "it has no engine for it";
    for (const CudnnDescriptor& config : configs_of(graph, device)) {
        CudnnDescriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
        cudnnBackendDescriptor_t to = engine.get();
        config.get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &to);
        const auto number = engine.value<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
        const std::string name = "engine " + std::to_string(number);
        if (!repeats_bits(engine)) {
            why = name + " does not repeat its bits";
            continue;
        }
        try {
            CudnnDescriptor made(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
            made.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config.get())
                .set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, device.get())
                .finalise();
            CudnnPlan plan(std::move(made), number);
            if (plan.workspace() <= most) {
                descriptors_.push_back(std::move(graph));
                return plan;
            }
            why = name + " needs a workspace of " + std::to_string(plan.workspace()) + " bytes, and has " +
                  std::to_string(most);
        } catch (const CudnnError& error) { why = name + ": " + error.what(); }
    }
    throw CudnnError(why);
}

CudnnPlan::CudnnPlan(CudnnDescriptor plan, int64_t engine)
    : plan_(std::move(plan)),
      engine_(engine),
      workspace_(plan_.value<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)) {}

void CudnnPlan::queue(cudnnHandle_t handle, const std::vector<void*>& pointers, void* workspace) const {
    std::vector<int64_t> numbers(pointers.size());
    std::iota(numbers.begin(), numbers.end(), 1);
    const auto count = int64_t(pointers.size());
    CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, numbers.data())
        .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers.data())
        .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace)
        .finalise();
    cudnn_done(cudnnBackendExecute(handle, plan_.get(), pack.get()), "a plan");
}

}  // namespace sluice
