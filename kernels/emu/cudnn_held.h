// What descriptors of cuDNN's stand-in hold, and how graphs of them are judged and run.
//
// Rules cite cuDNN's documentation of the backend API, or were seen of the library itself: of what a finalise refuses
// it says CUDNN_STATUS_BAD_PARAM, for most reasons.
#pragma once
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/emu/cudnn.h"

struct cudnnContext {
    uint64_t kind;
    cudaStream_t stream;
};

namespace sluice::emu::cudnn {

struct Held;
using Shared = std::shared_ptr<const Held>;

// A value of an attribute as it was set: `count` elements of the type.
struct Value {
    cudnnBackendAttributeType_t type;
    int64_t count;
    std::vector<char> bytes;
    std::vector<Shared> descriptors;  // where these are its elements
};

struct Held {
    cudnnBackendDescriptorType_t type;
    bool final = false;
    std::map<int, Value> values;  // by the attribute's name

    bool has(cudnnBackendAttributeName_t name) const { return values.contains(name); }
    template <class X>
    std::vector<X> all(cudnnBackendAttributeName_t name) const {
        const Value& value = values.at(name);
        std::vector<X> x(value.bytes.size() / sizeof(X));
        std::memcpy(x.data(), value.bytes.data(), x.size() * sizeof(X));
        return x;
    }
    template <class X>
    X one(cudnnBackendAttributeName_t name, X otherwise = {}) const {
        if (!has(name)) return otherwise;
        std::memcpy(&otherwise, values.at(name).bytes.data(), sizeof otherwise);
        return otherwise;
    }
    Shared descriptor(cudnnBackendAttributeName_t name) const {
        return has(name) ? values.at(name).descriptors.at(0) : nullptr;
    }
    // What the stand-in itself says of a descriptor that it makes.
    template <class X>
    void put(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type_, const std::vector<X>& x) {
        Value& value = values[name] = {type_, int64_t(x.size()), std::vector<char>(x.size() * sizeof(X)), {}};
        std::memcpy(value.bytes.data(), x.data(), value.bytes.size());
    }
    void put(cudnnBackendAttributeName_t name, Shared descriptor) {
        values[name] = {CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, {}, {std::move(descriptor)}};
    }
};

// A refusal, and what cudnnGetLastErrorString says of it.
struct Refusal {
    cudnnStatus_t status;
    std::string why;
};
[[noreturn]] inline void refuse(const std::string& why, cudnnStatus_t status = CUDNN_STATUS_BAD_PARAM) {
    throw Refusal{status, why};
}
inline void require(bool holds, const char* why, cudnnStatus_t status = CUDNN_STATUS_BAD_PARAM) {
    if (!holds) refuse(why, status);
}

constexpr int kAxes = 4;
using Extents = std::array<int64_t, kAxes>;
inline int64_t elements(const Extents& e) { return e[0] * e[1] * e[2] * e[3]; }

struct TensorView {
    explicit TensorView(const Held& held);
    cudnnDataType_t type;
    Extents extents, strides;
    int64_t number, alignment;
    bool is_virtual, by_value;
    size_t item() const;  // bytes of an element
};

// An operation's tensors: y is its result; b and t may be null.
struct Operation {
    explicit Operation(const Held& held);
    enum class Kind { pointwise, matmul, reduction, reshape } kind;
    cudnnPointwiseMode_t mode{};     // of pointwise
    cudnnReduceTensorOp_t reduce{};  // of reduction
    int64_t axis = -1;               // of an index
    const Held *x, *y, *b = nullptr, *t = nullptr;
};

// What cudnnBackendFinalize refuses, beside attributes that are missing. Throws a Refusal.
void judge(const Held& held);

// ---------------------------------------------------------------- engines
struct Engine {
    int64_t number;
    bool repeats_bits, is_noted;  // is_noted: its numerical notes say that it does not
};
// Those for a graph that is final, the likely fastest first; none where the pattern is not known.
std::vector<Engine> engines_of(const Held& graph);
int64_t workspace_of(const Held& graph, const Engine& engine);  // bytes
// What keeps a plan of the engine from being made; empty: nothing does.
Refusal plan_refusal();

// ---------------------------------------------------------------- running
// A graph with pointers to its tensors by their numbers, and the values of those that are given by value.
struct Bound {
    Shared graph;
    Engine engine;
    std::map<int64_t, void*> pointers;
    std::map<int64_t, float> scalars;
    void* workspace;
    int64_t workspace_bytes;
};
void run(const Bound& bound);  // as a task of a stream

}  // namespace sluice::emu::cudnn
