// Graphs of operations for cuDNN, whose backend API knows descriptors alone: tensors, operations, a graph of them, the
// engines that can run it, a plan of one of these, and the pointers that a plan is run with.
//
// An error is a CudnnError with what the library says of it.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/cuda/prim/cudnn.h"

namespace sluice {

struct CudnnError : std::runtime_error {
    using std::runtime_error::runtime_error;
};
// Throws where the status is not success: "WHAT: CUDNN_STATUS_...: what the library adds", in one line.
void cudnn_done(cudnnStatus_t status, const char* what);

// The type that an attribute of a C++ type is set as.
template <class X>
constexpr cudnnBackendAttributeType_t cudnn_type() {
    if constexpr (std::is_same_v<X, int64_t>) return CUDNN_TYPE_INT64;
    if constexpr (std::is_same_v<X, bool>) return CUDNN_TYPE_BOOLEAN;
    if constexpr (std::is_same_v<X, char>) return CUDNN_TYPE_CHAR;
    if constexpr (std::is_same_v<X, cudnnDataType_t>) return CUDNN_TYPE_DATA_TYPE;
    if constexpr (std::is_same_v<X, cudnnPointwiseMode_t>) return CUDNN_TYPE_POINTWISE_MODE;
    if constexpr (std::is_same_v<X, cudnnReduceTensorOp_t>) return CUDNN_TYPE_REDUCTION_OPERATOR_TYPE;
    if constexpr (std::is_same_v<X, cudnnBackendHeurMode_t>) return CUDNN_TYPE_HEUR_MODE;
    if constexpr (std::is_same_v<X, cudnnBackendNumericalNote_t>) return CUDNN_TYPE_NUMERICAL_NOTE;
    if constexpr (std::is_same_v<X, cudnnHandle_t>) return CUDNN_TYPE_HANDLE;
    if constexpr (std::is_same_v<X, cudnnBackendDescriptor_t>) return CUDNN_TYPE_BACKEND_DESCRIPTOR;
}

// Owns a descriptor.
class CudnnDescriptor {
 public:
    explicit CudnnDescriptor(cudnnBackendDescriptorType_t type);
    ~CudnnDescriptor();
    CudnnDescriptor(CudnnDescriptor&& from) noexcept : descriptor_(std::exchange(from.descriptor_, nullptr)) {}
    CudnnDescriptor(const CudnnDescriptor&) = delete;
    CudnnDescriptor& operator=(const CudnnDescriptor&) = delete;

    cudnnBackendDescriptor_t get() const { return descriptor_; }

    template <class X>
    CudnnDescriptor& set(cudnnBackendAttributeName_t name, const X& value) {
        return set(name, cudnn_type<X>(), 1, &value);
    }
    CudnnDescriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                         const void* values);
    CudnnDescriptor& finalise();

    // Of an attribute with one value.
    template <class X>
    X value(cudnnBackendAttributeName_t name) const {
        X x{};
        get(name, cudnn_type<X>(), 1, &x);
        return x;
    }
    // Returns how many values there are; at most `count` are written.
    int64_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count, void* values) const;

 private:
    cudnnBackendDescriptor_t descriptor_ = nullptr;
};

// What plans are made for: the handle's device, or one whose properties JSON tells, though it be not here.
CudnnDescriptor cudnn_device(cudnnHandle_t handle);
CudnnDescriptor cudnn_device(const std::string& json);

using Extents = std::array<int64_t, 4>;

// A plan, and what it was chosen from.
class CudnnPlan {
 public:
    CudnnPlan(CudnnDescriptor plan, int64_t engine);
    int64_t engine() const { return engine_; }        // the library's number of it
    int64_t workspace() const { return workspace_; }  // bytes

    // Queues it on the handle's stream, where pointers[i] is the tensor with the number i + 1. By-value tensors' lie
    // in the host's memory, and are read before it returns.
    void queue(cudnnHandle_t handle, const std::vector<void*>& pointers, void* workspace) const;

 private:
    CudnnDescriptor plan_;
    int64_t engine_, workspace_;
};

class CudnnGraph {
 public:
    using Tensor = cudnnBackendDescriptor_t;

    // number: from 1 on, of a tensor that a plan gets a pointer to; 0: one that is not kept in memory.
    Tensor tensor(cudnnDataType_t type, const Extents& extents, const Extents& strides, int64_t number = 0);
    // One number in fp32, which a plan is given when it is run.
    Tensor scalar(int64_t number);

    // y = x op b, where b and t may be null; select: y = t ? x : b. The type that it is computed in is y's.
    void pointwise(cudnnPointwiseMode_t mode, Tensor y, cudnnDataType_t type, Tensor x, Tensor b = nullptr,
                   Tensor t = nullptr);
    // y = an element's index along an axis of x.
    void index(Tensor y, Tensor x, int64_t axis);
    // y = a b of the last two extents; sums are in fp32.
    void matmul(Tensor y, Tensor a, Tensor b);
    // y has fewer elements along some axes than x.
    void reduce(cudnnReduceTensorOp_t op, Tensor y, Tensor x);
    // y is x with other strides.
    void reshape(Tensor y, Tensor x);

    // The first of the engines that the library names for the graph, the likely fastest first, that gives the same bits
    // every time and needs at most `most` bytes. Errors: there is none; the message has what the library says of the
    // last one.
    CudnnPlan plan(const CudnnDescriptor& device, int64_t most);

 private:
    void operation(CudnnDescriptor operation);

    std::deque<CudnnDescriptor> descriptors_;
    std::vector<cudnnBackendDescriptor_t> operations_;
};

}  // namespace sluice
