// cuDNN's stand-in: what it refuses as the library does, and what it knows of the graphs that it runs.
#include "kernels/emu/cudnn.h"

#include <functional>

#include "kernels/cuda/attention_plan.h"
#include "tests/emu/on_device.h"

namespace sluice {
namespace {

constexpr Extents kExtents{2, 4, 8, 16}, kStrides{512, 128, 16, 1};
constexpr auto kTensor = CUDNN_BACKEND_TENSOR_DESCRIPTOR;
constexpr auto kFloat = CUDNN_DATA_FLOAT;

// What the stand-in says of an error, or "".
std::string refused(const std::function<void()>& call) {
    try {
        call();
        return "";
    } catch (const CudnnError& error) {
        const std::string text = error.what();
        const size_t at = text.rfind(": ");
        return at == text.npos ? text : text.substr(at + 2);
    }
}

// A tensor of which all is set; tests change something before they finalise it.
CudnnDescriptor tensor(const Extents& extents = kExtents, const Extents& strides = kStrides) {
    CudnnDescriptor tensor(kTensor);
    tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, kFloat)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, extents.data())
        .set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides.data())
        .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, int64_t{1})
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, int64_t{16})
        .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, false);
    return tensor;
}

class Cudnn : public Emulator {
 protected:
    Cudnn() {
        EXPECT_EQ(cudnnCreate(&handle), CUDNN_STATUS_SUCCESS);
        EXPECT_EQ(cudnnSetStream(handle, static_cast<cudaStream_t>(stream().handle)), CUDNN_STATUS_SUCCESS);
    }
    ~Cudnn() override { cudnnDestroy(handle); }
    CudnnDescriptor device() const { return cudnn_device(handle); }

    CudnnGraph graph;
    CudnnGraph::Tensor x = graph.tensor(kFloat, kExtents, kStrides, 1);
    CudnnGraph::Tensor y = graph.tensor(kFloat, kExtents, kStrides, 2);
    CudnnGraph::Tensor of(const Extents& e, cudnnDataType_t type = kFloat, int64_t number = 0) {
        return graph.tensor(type, e, {e[1] * e[2] * e[3], e[2] * e[3], e[3], 1}, number);
    }
    cudnnHandle_t handle = nullptr;
};

TEST_F(Cudnn, Attributes) {
    CudnnDescriptor t = tensor();
    EXPECT_EQ(refused([&] { t.set(CUDNN_ATTR_MATMUL_COMP_TYPE, kFloat); }), "the descriptor has no such attribute");
    EXPECT_EQ(refused([&] { t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, kFloat); }), "the attribute is of another type");
    EXPECT_EQ(refused([&] { t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 2, kExtents.data()); }),
              "the attribute has another number of values");
    EXPECT_EQ(refused([&] { t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, nullptr); }),
              "the attribute has another number of values");
    EXPECT_EQ(refused([&] { t.value<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID); }), "the descriptor is not final");
    t.finalise();
    EXPECT_EQ(t.value<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID), 1);
    EXPECT_EQ(refused([&] { t.finalise(); }), "the descriptor is final");
    EXPECT_EQ(refused([&] { t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, int64_t{2}); }), "the descriptor is final");
    EXPECT_EQ(refused([] { CudnnDescriptor(cudnnBackendDescriptorType_t(63)); }), "no such type of descriptor");
    EXPECT_EQ(refused([] { CudnnDescriptor(kTensor).finalise(); }),
              "attribute " + std::to_string(CUDNN_ATTR_TENSOR_DATA_TYPE) + " is missing");
    EXPECT_EQ(refused([] {
                  CudnnDescriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
                  plan.set(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, int64_t{1});
              }),
              "the attribute is the library's");
    EXPECT_EQ(refused([] { CudnnDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR).finalise(); }),
              "attribute " + std::to_string(CUDNN_ATTR_DEVICEPROP_HANDLE) + " is missing");
    EXPECT_EQ(cudnnBackendCreateDescriptor(kTensor, nullptr), CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    EXPECT_EQ(cudnnBackendFinalize(nullptr), CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
}

TEST_F(Cudnn, Tensors) {
    EXPECT_EQ(refused([] { tensor().finalise(); }), "");
    EXPECT_EQ(refused([] { tensor({2, 4, 0, 16}).finalise(); }), "an extent is below 1");
    EXPECT_EQ(refused([] { tensor(kExtents, {512, 128, 16, -1}).finalise(); }), "a stride is below 0");
    for (const int64_t alignment : {0, 3, -16})
        EXPECT_EQ(refused([&] { tensor().set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, alignment).finalise(); }),
                  "the alignment is no multiple of an element");
    EXPECT_EQ(refused([] { tensor().set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, true).finalise(); }),
              "by value there are numbers in float alone");
}

TEST_F(Cudnn, PointwiseOperations) {
    const auto point = [&](cudnnPointwiseMode_t mode, CudnnGraph::Tensor to, CudnnGraph::Tensor from,
                           CudnnGraph::Tensor b = nullptr, CudnnGraph::Tensor t = nullptr) {
        return refused([&] { graph.pointwise(mode, to, kFloat, from, b, t); });
    };
    const auto rows = of({2, 4, 8, 1}), mask = of(kExtents, CUDNN_DATA_BOOLEAN);
    EXPECT_EQ(point(CUDNN_POINTWISE_SUB, y, x, rows), "");
    EXPECT_EQ(point(CUDNN_POINTWISE_SUB, y, x), "a pointwise operation has another number of inputs");
    EXPECT_EQ(point(CUDNN_POINTWISE_EXP, y, x, rows), "a pointwise operation has another number of inputs");
    EXPECT_EQ(point(CUDNN_POINTWISE_SUB, y, x, of({2, 2, 8, 16})), "an input's extents do not fit");
    EXPECT_EQ(point(CUDNN_POINTWISE_EXP, rows, x), "an input's extents do not fit");
    EXPECT_EQ(point(CUDNN_POINTWISE_BINARY_SELECT, y, x, x, mask), "");
    EXPECT_EQ(point(CUDNN_POINTWISE_BINARY_SELECT, y, x, x), "t is for a selection, and it has one");
    EXPECT_EQ(point(CUDNN_POINTWISE_SUB, y, x, x, mask), "t is for a selection, and it has one");
    EXPECT_EQ(point(CUDNN_POINTWISE_BINARY_SELECT, y, x, x, x), "a selection's t is not boolean");
    EXPECT_EQ(point(CUDNN_POINTWISE_CMP_GE, y, x, x), "a comparison's result is not boolean");
    EXPECT_EQ(point(CUDNN_POINTWISE_CMP_GE, mask, x, x), "");
    EXPECT_EQ(point(CUDNN_POINTWISE_EXP, graph.scalar(9), graph.scalar(8)), "a result is by value");
    const auto index = of(kExtents, CUDNN_DATA_INT32);
    EXPECT_EQ(refused([&] { graph.index(index, x, 3); }), "");
    EXPECT_EQ(refused([&] { graph.index(index, x, 4); }), "an index is of no axis");
    EXPECT_EQ(refused([&] { graph.index(y, x, 3); }), "an index is of another shape or type");
}

TEST_F(Cudnn, OtherOperations) {
    const auto product = [&](const Extents& b, const Extents& to) {
        return refused([&] { graph.matmul(of(to), x, of(b)); });
    };
    EXPECT_EQ(product({2, 4, 16, 5}, {2, 4, 8, 5}), "");
    EXPECT_EQ(product({2, 2, 16, 5}, {2, 4, 8, 5}), "");
    EXPECT_EQ(product({2, 4, 15, 5}, {2, 4, 8, 5}), "depths of a product differ");
    EXPECT_EQ(product({2, 4, 16, 5}, {2, 4, 7, 5}), "a product has other rows or columns");
    EXPECT_EQ(product({2, 3, 16, 5}, {2, 4, 8, 5}), "batches of a product do not fit");
    EXPECT_EQ(product({2, 4, 16, 5}, {2, 8, 8, 5}), "batches of a product do not fit");
    EXPECT_EQ(refused([&] { graph.reduce(CUDNN_REDUCE_TENSOR_ADD, of({2, 2, 8, 1}), x); }), "");
    EXPECT_EQ(refused([&] {
                  graph.reduce(CUDNN_REDUCE_TENSOR_ADD, of({2, 3, 8, 1}), x);
              }),
              "a reduction's extents do not divide");
    EXPECT_EQ(refused([&] { graph.reshape(of({2, 4, 16, 8}), x); }), "");
    EXPECT_EQ(refused([&] { graph.reshape(of({2, 4, 16, 7}), x); }), "a reshape has another number of elements");
    CudnnDescriptor product_of(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    CudnnDescriptor open = tensor();
    EXPECT_EQ(refused([&] { product_of.set(CUDNN_ATTR_OPERATION_MATMUL_ADESC, open.get()); }),
              "a descriptor that is not final");
}

TEST_F(Cudnn, Graphs) {
    const auto plan = [this](const std::function<void(CudnnGraph&)>& build) {
        CudnnGraph g;
        return refused([&] {
            build(g);
            g.plan(device(), 1 << 20);
        });
    };
    const auto at = [](CudnnGraph& g, int64_t number) { return g.tensor(kFloat, kExtents, kStrides, number); };
    EXPECT_EQ(plan([](CudnnGraph&) {}), "the attribute has another number of values");
    EXPECT_EQ(plan([&](CudnnGraph& g) { g.pointwise(CUDNN_POINTWISE_EXP, at(g, 2), kFloat, at(g, 1)); }),
              "it has no engine for it");
    EXPECT_EQ(plan([&](CudnnGraph& g) { g.pointwise(CUDNN_POINTWISE_EXP, at(g, 2), kFloat, at(g, 0)); }),
              "nothing makes a virtual tensor");
    EXPECT_EQ(plan([&](CudnnGraph& g) { g.pointwise(CUDNN_POINTWISE_EXP, at(g, 1), kFloat, at(g, 1)); }),
              "two tensors have one number");
    EXPECT_EQ(plan([&](CudnnGraph& g) {
                  const auto from = at(g, 1), to = at(g, 2);
                  for (int i = 0; i < 2; i++) g.pointwise(CUDNN_POINTWISE_EXP, to, kFloat, from);
              }),
              "a tensor is made twice, or read before");
}

AttentionKey key_of(AttentionPass pass, int64_t window = 0, int64_t dim = 32) {
    const int64_t d = pass == AttentionPass::backward ? 3 * dim : 0;
    return {pass, {1, 128, 1, 1, dim, window, 1}, 1, {3 * dim, 3 * dim, 3 * dim, d, d, d}};
}

// Each engine but the first, which does not repeat its bits, in no more workspace than there is.
TEST_F(Cudnn, EnginesOfAttention) {
    for (const int64_t window : {0, 7}) {
        EXPECT_EQ(AttentionPlan(key_of(AttentionPass::forward, window), device(), 256).engine(), 2);
        EXPECT_EQ(AttentionPlan(key_of(AttentionPass::forward, window), device(), 255).engine(), 1);
        const AttentionPlan backward(key_of(AttentionPass::backward, window), device(), 1 << 20);
        EXPECT_EQ(backward.engine(), 6);
        EXPECT_EQ(backward.workspace(), 128 * 128 * 2 + 256);
    }
    EXPECT_EQ(refused([&] { AttentionPlan(key_of(AttentionPass::backward), device(), 256); }),
              "engine 7 needs a workspace of 33024 bytes, and has 256");
    EXPECT_EQ(refused([&] { AttentionPlan(key_of(AttentionPass::forward, 0, 136), device(), 256); }),
              "it has no engine for it");
    AttentionKey odd = key_of(AttentionPass::forward);
    odd.strides.k += 4;
    EXPECT_EQ(refused([&] { AttentionPlan(odd, device(), 256); }), "it has no engine for it");
}

// Forward of one head, of which tests change a pointer.
class CudnnExecution : public Cudnn {
 protected:
    const OnDevice<bf16> qkv{std::vector<bf16>(128 * 96 + 8, bf16(1))}, out{std::vector<bf16>(128 * 32)};
    const OnDevice<float> lse{std::vector<float>(128)};
    const OnDevice<char> workspace{std::vector<char>(512)};
    AttentionForwardTensors tensors{qkv.data(), qkv.data() + 32, qkv.data() + 64, out.data(), lse.data()};
    std::string queue(void* with) {
        return refused(
            [&] { AttentionPlan(key_of(AttentionPass::forward), device(), 256).queue(handle, tensors, 0, with); });
    }
    std::string run(void* with) {
        const std::string error = queue(with);
        return error.empty() ? wait() : error;
    }
    static bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }
};

// Every key weighs the same: the mean of ones, and the log of how many there are.
TEST_F(CudnnExecution, Runs) {
    const int64_t before = emu::plans_run();
    EXPECT_EQ(run(workspace.data()), "");
    EXPECT_EQ(emu::plans_run(), before + 1);
    for (const bf16 value : out.values(stream())) ASSERT_NEAR(float(value), 1, 0x1p-7);
    const std::vector<float> sums = lse.values(stream());
    for (int64_t t = 0; t < 128; t++) EXPECT_NEAR(sums[size_t(t)], std::log(float(t + 1)), 1e-5);
}

TEST_F(CudnnExecution, Refuses) {
    EXPECT_EQ(run(nullptr), "there is no workspace");
    EXPECT_EQ(run(workspace.data() + 16), "the workspace is not aligned");
    tensors.q = nullptr;
    EXPECT_EQ(run(workspace.data()), "tensor 1 has no pointer");
    tensors.q = qkv.data() + 1;
    EXPECT_EQ(run(workspace.data()), "a pointer is not aligned");
    tensors.q = qkv.data() + 80;
    EXPECT_TRUE(has(run(workspace.data()), "tensor 1 ending 16 bytes behind the end"));
    tensors.q = qkv.data();
    EXPECT_TRUE(has(run(workspace.data() + 512), "its workspace ending 256 bytes behind the end"));
}

TEST_F(CudnnExecution, PacksFitTheirGraph) {
    CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    const int64_t numbers[] = {1, 1};
    void* const pointers[] = {out.data(), out.data()};
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 2, numbers)
        .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 1, pointers);
    EXPECT_EQ(refused([&] { pack.finalise(); }), "two pointers are of one tensor");
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 1, numbers)
        .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 2, pointers);
    EXPECT_EQ(refused([&] { pack.finalise(); }), "there are not as many pointers as tensors");
    EXPECT_EQ(cudnnBackendExecute(nullptr, pack.get(), pack.get()), CUDNN_STATUS_NOT_INITIALIZED);
    EXPECT_EQ(cudnnBackendExecute(handle, pack.get(), pack.get()), CUDNN_STATUS_BAD_PARAM);
}

// What another stream writes, with no event between, is a race: of inputs, of results and of the workspace.
TEST_F(CudnnExecution, RacesAreSeen) {
    for (void* const touched : {static_cast<void*>(const_cast<bf16*>(qkv.data())), static_cast<void*>(out.data()),
                                static_cast<void*>(lse.data()), static_cast<void*>(workspace.data())}) {
        const Stream other = memory().open_stream();
        EXPECT_EQ(queue(workspace.data()), "");
        memory().zero(other, touched, 64);
        try {
            memory().wait(stream());
            memory().wait(other);
            ADD_FAILURE() << "no race was seen";
        } catch (const Failure& failure) { EXPECT_TRUE(has(failure.what(), "on another stream")) << failure.what(); }
        memory().close_stream(other);
    }
}

}  // namespace
}  // namespace sluice
