// Descriptors of cuDNN's stand-in, and the calls of its backend API.
#include "kernels/emu/cudnn.h"

#include <algorithm>
#include <set>

#include "kernels/emu/cudnn_held.h"
#include "kernels/emu/device_memory.h"
#include "kernels/emu/emu.h"
#include "kernels/emu/queue.h"

namespace sluice::emu::cudnn {
namespace {

constexpr uint64_t kHandle = 0x5eed0001, kDescriptor = 0x5eed0002;

// What a cudnnBackendDescriptor_t points to.
struct Opened {
    uint64_t kind;
    std::shared_ptr<Held> held;
};

thread_local std::string last_error;

// The attributes of each type of descriptor: who sets them, of which type, and how many values there are.
enum class Use { needed, may, read };  // set before finalise, or not; read: the library's own
struct Rule {
    cudnnBackendDescriptorType_t of;
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t least, most;
    Use use;
};
constexpr int64_t kMost = 1 << 20;
constexpr auto kReference = CUDNN_TYPE_BACKEND_DESCRIPTOR;
constexpr Rule kRules[] = {
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1, Use::needed},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 1, 8, Use::needed},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 1, 8, Use::needed},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, 1, Use::needed},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, 1, Use::needed},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, 1, Use::may},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, 1, Use::may},
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, 1, Use::needed},
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, 1, Use::needed},
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, 1, Use::may},
    {CUDNN_BACKEND_MATMUL_DESCRIPTOR, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1, Use::needed},
    {CUDNN_BACKEND_REDUCTION_DESCRIPTOR, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, 1,
     Use::needed},
    {CUDNN_BACKEND_REDUCTION_DESCRIPTOR, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1, Use::needed},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kReference, 1, 1,
     Use::needed},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, kReference, 1, 1, Use::may},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, kReference, 1, 1, Use::may},
    {CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, CUDNN_ATTR_OPERATION_MATMUL_ADESC, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, CUDNN_ATTR_OPERATION_MATMUL_BDESC, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, CUDNN_ATTR_OPERATION_MATMUL_CDESC, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, CUDNN_ATTR_OPERATION_MATMUL_DESC, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, CUDNN_ATTR_OPERATION_REDUCTION_DESC, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_OPS, kReference, 1, kMost, Use::needed},
    {CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, 1, 1, Use::needed},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, 1, Use::needed},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_RESULTS, kReference, 0, kMost, Use::read},
    {CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, CUDNN_ATTR_ENGINECFG_ENGINE, kReference, 1, 1, Use::read},
    {CUDNN_BACKEND_ENGINE_DESCRIPTOR, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, 1, Use::read},
    {CUDNN_BACKEND_ENGINE_DESCRIPTOR, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, 0,
     CUDNN_NUMERICAL_NOTE_TYPE_COUNT, Use::read},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, kReference, 1, 1, Use::needed},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, 1,
     Use::read},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 1, kMost,
     Use::needed},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 1, kMost,
     Use::needed},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, 1, Use::may},
};
// The graph that an engine is for, which its config keeps: a name that the library does not use.
constexpr auto kGraphOfEngine = cudnnBackendAttributeName_t(-1);

const Rule& rule_of(const Held& held, cudnnBackendAttributeName_t name) {
    for (const Rule& rule : kRules)
        if (rule.of == held.type && rule.name == name) return rule;
    refuse("the descriptor has no such attribute");
}

size_t size_of(cudnnBackendAttributeType_t type) {
    switch (type) {
        case CUDNN_TYPE_CHAR:
            return 1;
        case CUDNN_TYPE_BOOLEAN:
            return sizeof(bool);
        case CUDNN_TYPE_INT64:
            return sizeof(int64_t);
        case CUDNN_TYPE_HANDLE:
        case CUDNN_TYPE_VOID_PTR:
        case CUDNN_TYPE_BACKEND_DESCRIPTOR:
            return sizeof(void*);
        default:
            return sizeof(int);  // enumerators
    }
}

Opened& opened(cudnnBackendDescriptor_t descriptor) {
    require(descriptor, "a descriptor is null", CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    auto& found = *static_cast<Opened*>(descriptor);
    require(found.kind == kDescriptor, "what is given is no descriptor");
    return found;
}

cudnnContext& context(cudnnHandle_t handle) {
    require(handle && handle->kind == kHandle, "what is given is no handle", CUDNN_STATUS_NOT_INITIALIZED);
    return *handle;
}

// Runs a call, and keeps what it says of an error.
template <class F>
cudnnStatus_t answer(F call) {
    try {
        call();
        return CUDNN_STATUS_SUCCESS;
    } catch (const Refusal& refusal) {
        last_error = refusal.why;
        return refusal.status;
    }
}

void set(Held& held, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
         const void* values) {
    require(!held.final, "the descriptor is final");
    const Rule& rule = rule_of(held, name);
    require(rule.use != Use::read, "the attribute is the library's");
    require(type == rule.type, "the attribute is of another type", CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE);
    require(values && count >= rule.least && count <= rule.most, "the attribute has another number of values");
    Value value{type, count, std::vector<char>(size_t(count) * size_of(type)), {}};
    std::memcpy(value.bytes.data(), values, value.bytes.size());
    if (type == kReference)
        for (int64_t i = 0; i < count; i++) {
            const Opened& other = opened(static_cast<cudnnBackendDescriptor_t const*>(values)[i]);
            require(other.held->final, "a descriptor that is not final", CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED);
            value.descriptors.push_back(other.held);
        }
    if (type == CUDNN_TYPE_HANDLE) context(*static_cast<const cudnnHandle_t*>(values));
    held.values[name] = std::move(value);
}

// ---------------------------------------------------------------- engines and plans
std::shared_ptr<Held> config_of(const Shared& graph, const Engine& engine) {
    const auto of_engine = std::make_shared<Held>(), config = std::make_shared<Held>();
    of_engine->type = CUDNN_BACKEND_ENGINE_DESCRIPTOR;
    config->type = CUDNN_BACKEND_ENGINECFG_DESCRIPTOR;
    of_engine->final = config->final = true;
    std::vector<cudnnBackendNumericalNote_t> notes{CUDNN_NUMERICAL_NOTE_TENSOR_CORE};
    if (engine.is_noted) notes.push_back(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC);
    of_engine->put(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, std::vector<int64_t>{engine.number});
    of_engine->put(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, notes);
    of_engine->put(kGraphOfEngine, graph);
    config->put(CUDNN_ATTR_ENGINECFG_ENGINE, of_engine);
    return config;
}

// The graph and the engine of a config.
std::pair<Shared, Engine> read(const Held& config) {
    const Shared engine = config.descriptor(CUDNN_ATTR_ENGINECFG_ENGINE);
    const Shared graph = engine->descriptor(kGraphOfEngine);
    const auto number = engine->one<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
    for (const Engine& known : engines_of(*graph))
        if (known.number == number) return {graph, known};
    refuse("the engine is not known");
}

void finalise(Held& held) {
    require(!held.final, "the descriptor is final");
    for (const Rule& rule : kRules)
        if (rule.of == held.type && rule.use == Use::needed && !held.has(rule.name))
            refuse("attribute " + std::to_string(rule.name) + " is missing");
    judge(held);
    if (held.type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR) {
        Value results{kReference, 0, {}, {}};
        const Shared graph = held.descriptor(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
        for (const Engine& engine : engines_of(*graph)) results.descriptors.push_back(config_of(graph, engine));
        results.count = int64_t(results.descriptors.size());
        held.values[CUDNN_ATTR_ENGINEHEUR_RESULTS] = std::move(results);
    }
    if (held.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
        const auto [graph, engine] = read(*held.descriptor(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG));
        if (const Refusal refusal = plan_refusal(); refusal.status != CUDNN_STATUS_SUCCESS) throw refusal;
        held.put(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64,
                 std::vector<int64_t>{workspace_of(*graph, engine)});
    }
    held.final = true;
}

// Elements that are descriptors are written to descriptors that the caller made.
void get(const Held& held, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t requested,
         int64_t* count, void* values) {
    require(held.final, "the descriptor is not final", CUDNN_STATUS_NOT_INITIALIZED);
    const Rule& rule = rule_of(held, name);
    require(type == rule.type, "the attribute is of another type", CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE);
    require(held.has(name), "the attribute was never set");
    const Value& value = held.values.at(name);
    if (count) *count = value.count;
    if (!values) return;
    const int64_t written = std::min(requested, value.count);
    if (type != kReference) {
        std::memcpy(values, value.bytes.data(), size_t(written) * size_of(type));
        return;
    }
    for (int64_t i = 0; i < written; i++) {
        Opened& to = opened(static_cast<cudnnBackendDescriptor_t*>(values)[i]);
        require(to.held->type == value.descriptors[size_t(i)]->type, "a descriptor of another type",
                CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE);
        *to.held = *value.descriptors[size_t(i)];
    }
}

// ---------------------------------------------------------------- execution
struct CudnnBackendExecute {};  // what errors call a plan that runs

// What a plan is run with: each tensor of the graph that is not virtual has a pointer, aligned as it was said to be.
Bound bind(const Held& plan, const Held& pack) {
    require(plan.final && plan.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "no plan that is final");
    require(pack.final && pack.type == CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "no pack that is final");
    const auto [graph, engine] = read(*plan.descriptor(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG));
    Bound bound{graph,
                engine,
                {},
                {},
                pack.one<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE),
                plan.one<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)};
    const auto numbers = pack.all<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    const auto pointers = pack.all<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    std::map<int64_t, void*> given;
    for (size_t i = 0; i < numbers.size(); i++) given[numbers[i]] = pointers[i];
    std::set<int64_t> wanted;
    for (const Shared& held : graph->values.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).descriptors) {
        const Operation operation(*held);
        for (const Held* tensor : {operation.x, operation.y, operation.b, operation.t}) {
            if (!tensor) continue;
            const TensorView view(*tensor);
            if (view.is_virtual || !wanted.insert(view.number).second) continue;
            const auto it = given.find(view.number);
            if (it == given.end() || !it->second) refuse("tensor " + std::to_string(view.number) + " has no pointer");
            require(reinterpret_cast<uintptr_t>(it->second) % uintptr_t(view.by_value ? 4 : view.alignment) == 0,
                    "a pointer is not aligned", CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER);
            if (view.by_value)
                std::memcpy(&bound.scalars[view.number], it->second, sizeof(float));
            else
                bound.pointers[view.number] = it->second;
        }
    }
    for (const auto& [number, pointer] : given)
        if (!wanted.contains(number)) refuse("the graph has no tensor " + std::to_string(number));
    require(bound.workspace_bytes == 0 || bound.workspace, "there is no workspace",
            CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    require(reinterpret_cast<uintptr_t>(bound.workspace) % 256 == 0, "the workspace is not aligned",
            CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER);
    return bound;
}

}  // namespace
}  // namespace sluice::emu::cudnn

namespace stand_in = sluice::emu::cudnn;

size_t cudnnGetVersion() { return 91900; }

const char* cudnnGetErrorString(cudnnStatus_t status) {
    switch (status) {
        case CUDNN_STATUS_SUCCESS:
            return "CUDNN_STATUS_SUCCESS";
        case CUDNN_STATUS_NOT_INITIALIZED:
            return "CUDNN_STATUS_NOT_INITIALIZED";
        case CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE:
            return "CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE";
        case CUDNN_STATUS_EXECUTION_FAILED:
            return "CUDNN_STATUS_EXECUTION_FAILED";
        default:
            return status < CUDNN_STATUS_NOT_SUPPORTED ? "CUDNN_STATUS_BAD_PARAM" : "CUDNN_STATUS_NOT_SUPPORTED";
    }
}

void cudnnGetLastErrorString(char* message, size_t max_size) {
    if (!message || max_size == 0) return;
    const size_t count = std::min(max_size - 1, stand_in::last_error.size());
    std::memcpy(message, stand_in::last_error.data(), count);
    message[count] = 0;
    stand_in::last_error.clear();
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
    return stand_in::answer([&] {
        stand_in::require(handle, "there is no place for the handle", CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
        *handle = new cudnnContext{stand_in::kHandle, nullptr};
    });
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
    return stand_in::answer([&] { delete &stand_in::context(handle); });
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    return stand_in::answer([&] {
        const auto lock = sluice::emu::Device::get().lock();
        stand_in::require(sluice::emu::Device::get().is_stream(stream), "what is given is no stream");
        stand_in::context(handle).stream = stream;
    });
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* descriptor) {
    return stand_in::answer([&] {
        stand_in::require(descriptor, "there is no place for the descriptor", CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
        const bool known = std::any_of(std::begin(stand_in::kRules), std::end(stand_in::kRules),
                                       [&](const stand_in::Rule& r) { return r.of == type; });
        stand_in::require(known, "no such type of descriptor", CUDNN_STATUS_NOT_SUPPORTED);
        auto held = std::make_shared<stand_in::Held>();
        held->type = type;
        *descriptor = new stand_in::Opened{stand_in::kDescriptor, std::move(held)};
    });
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
    return stand_in::answer([&] { delete &stand_in::opened(descriptor); });
}
cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
    return stand_in::answer([&] { stand_in::finalise(*stand_in::opened(descriptor).held); });
}
cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void* values) {
    return stand_in::answer([&] { stand_in::set(*stand_in::opened(descriptor).held, name, type, count, values); });
}
cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t requested, int64_t* count,
                                       void* values) {
    return stand_in::answer(
        [&] { stand_in::get(*stand_in::opened(descriptor).held, name, type, requested, count, values); });
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
    return stand_in::answer([&] {
        const cudnnContext& on = stand_in::context(handle);
        const stand_in::Bound bound = stand_in::bind(*stand_in::opened(plan).held, *stand_in::opened(pack).held);
        auto& device = sluice::emu::Device::get();
        const auto lock = device.lock();
        if (sluice::emu::options().attention == sluice::emu::Attention::fail)
            stand_in::refuse("it does not run", CUDNN_STATUS_EXECUTION_FAILED);
        if (sluice::emu::options().blocks == sluice::emu::Blocks::all)
            device.queue(
                device.of(on.stream), [bound] { stand_in::run(bound); }, &typeid(stand_in::CudnnBackendExecute));
    });
}
