// cuBLASLt's stand-in: what it multiplies, and what it refuses as the library does.
#include "kernels/emu/cublaslt.h"

#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <set>

#include "kernels/emu/sanitizers.h"
#include "tests/emu/on_device.h"

namespace sluice {
namespace {

constexpr int64_t kRows = 24, kColumns = 16, kDepth = 64;
constexpr size_t kBytes = size_t{1} << 20;  // of workspace

// D (24, 16) = A (24, 64) B (64, 16) in float, all of it to be changed by tests before they ask.
class CublasLt : public Emulator {
 protected:
    CublasLt() {
        EXPECT_EQ(cublasLtCreate(&handle), CUBLAS_STATUS_SUCCESS);
        EXPECT_EQ(cublasLtMatmulPreferenceCreate(&preference), CUBLAS_STATUS_SUCCESS);
        EXPECT_EQ(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &kBytes,
                                                       sizeof kBytes),
                  CUBLAS_STATUS_SUCCESS);
        make_desc(CUBLAS_COMPUTE_32F, CUDA_R_32F);
        make(a, CUDA_R_32F, kRows, kDepth, kRows);
        make(b, CUDA_R_32F, kDepth, kColumns, kDepth);
        make(c, CUDA_R_32F, kRows, kColumns, kRows);
        make(d, CUDA_R_32F, kRows, kColumns, kRows);
    }
    ~CublasLt() override {
        for (const auto layout : {a, b, c, d}) cublasLtMatrixLayoutDestroy(layout);
        cublasLtMatmulDescDestroy(desc);
        cublasLtMatmulPreferenceDestroy(preference);
        cublasLtDestroy(handle);
    }
    static void make(cublasLtMatrixLayout_t& layout, cudaDataType type, int64_t rows, int64_t columns, int64_t ld) {
        if (layout) cublasLtMatrixLayoutDestroy(layout);
        EXPECT_EQ(cublasLtMatrixLayoutCreate(&layout, type, uint64_t(rows), uint64_t(columns), ld),
                  CUBLAS_STATUS_SUCCESS);
    }
    void make_desc(cublasComputeType_t compute, cudaDataType_t scale) {
        if (desc) cublasLtMatmulDescDestroy(desc);
        EXPECT_EQ(cublasLtMatmulDescCreate(&desc, compute, scale), CUBLAS_STATUS_SUCCESS);
    }
    void set(cublasLtMatmulDescAttributes_t attribute, int32_t value) {
        EXPECT_EQ(cublasLtMatmulDescSetAttribute(desc, attribute, &value, sizeof value), CUBLAS_STATUS_SUCCESS);
    }
    void prefer(cublasLtMatmulPreferenceAttributes_t attribute, uint32_t value) {
        EXPECT_EQ(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
                  CUBLAS_STATUS_SUCCESS);
    }
    void align(uint32_t bytes) {
        for (int i = 0; i < 4; i++)
            prefer(cublasLtMatmulPreferenceAttributes_t(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES + i), bytes);
    }

    cublasStatus_t ask(int requested = 16) {
        int found = 0;
        results.resize(16);
        const cublasStatus_t status =
            cublasLtMatmulAlgoGetHeuristic(handle, desc, a, b, c, d, preference, requested, results.data(), &found);
        results.resize(status == CUBLAS_STATUS_SUCCESS ? size_t(found) : 0);
        return status;
    }
    cublasStatus_t check(const cublasLtMatmulAlgo_t& algo) {
        cublasLtMatmulHeuristicResult_t result{};
        return cublasLtMatmulAlgoCheck(handle, desc, a, b, c, d, &algo, &result);
    }
    static uint32_t config(const cublasLtMatmulAlgo_t& algo, cublasLtMatmulAlgoConfigAttributes_t attribute) {
        uint32_t value = 99;
        size_t written = 0;
        EXPECT_EQ(cublasLtMatmulAlgoConfigGetAttribute(&algo, attribute, &value, sizeof value, &written),
                  CUBLAS_STATUS_SUCCESS);
        EXPECT_EQ(written, sizeof value);
        return value;
    }

    cublasLtHandle_t handle = nullptr;
    cublasLtMatmulPreference_t preference = nullptr;
    cublasLtMatmulDesc_t desc = nullptr;
    cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr, d = nullptr;
    std::vector<cublasLtMatmulHeuristicResult_t> results;

    // The call, of matrices whose elements are zeros but for what tests put there.
    const OnDevice<float> a_data{std::vector<float>(kRows * kDepth + 16, 1)};
    const OnDevice<float> b_data{std::vector<float>(kDepth * kColumns + 16, 2)};
    const OnDevice<float> d_data{std::vector<float>(kRows * kColumns + 16, 3)};
    const OnDevice<char> workspace_data{std::vector<char>(kBytes + 256)};
    const float one = 1, zero = 0;
    const void *alpha = &one, *beta = &zero, *pa = a_data.data(), *pb = b_data.data(), *pc = d_data.data();
    void *pd = d_data.data(), *workspace = workspace_data.data();
    size_t workspace_bytes = kBytes;
    cublasStatus_t multiply(const cublasLtMatmulAlgo_t* algo) {
        return cublasLtMatmul(handle, desc, alpha, pa, a, pb, b, beta, pc, c, pd, d, algo, workspace, workspace_bytes,
                              static_cast<cudaStream_t>(stream().handle));
    }
};

TEST_F(CublasLt, EveryAlgorithmMultiplies) {
    ASSERT_EQ(ask(), CUBLAS_STATUS_SUCCESS);
    EXPECT_GE(results.size(), 8u);
    std::set<uint32_t> reductions, ids;
    for (const auto& result : results) {
        const uint32_t id = config(result.algo, CUBLASLT_ALGO_CONFIG_ID);
        SCOPED_TRACE(id);
        EXPECT_TRUE(ids.insert(id).second);
        reductions.insert(config(result.algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME));
        EXPECT_EQ(check(result.algo), CUBLAS_STATUS_SUCCESS);
        for (const float factor : {0.f, 1.f, 0.5f}) {
            const OnDevice<float> x(std::vector<float>(kRows * kColumns, 3));
            pc = pd = x.data();
            beta = &factor;
            ASSERT_EQ(multiply(&result.algo), CUBLAS_STATUS_SUCCESS);
            EXPECT_EQ(wait(), "");
            EXPECT_EQ(x.values(), std::vector<float>(kRows * kColumns, 128 + 3 * factor));
        }
    }
    EXPECT_EQ(reductions, (std::set<uint32_t>{0, 1, 2, 4}));
}

// The same numbers in another order are another sum.
TEST_F(CublasLt, AlgorithmsDifferInTheirLastBits) {
    std::vector<float> x(kRows * kDepth), y(kDepth * kColumns);
    for (size_t i = 0; i < x.size(); i++) x[i] = std::sin(float(i * i));
    for (size_t i = 0; i < y.size(); i++) y[i] = std::cos(float(7 * i));
    const OnDevice<float> on_x(x), on_y(y);
    pa = on_x.data(), pb = on_y.data();
    ASSERT_EQ(ask(), CUBLAS_STATUS_SUCCESS);
    std::set<std::vector<float>> sums;
    size_t in_float = 0;
    for (const auto& result : results) {
        const uint32_t reduction = config(result.algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME);
        if (reduction & ~uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)) continue;
        in_float++;
        ASSERT_EQ(multiply(&result.algo), CUBLAS_STATUS_SUCCESS);
        sums.insert(d_data.values(stream()));
    }
    EXPECT_EQ(sums.size(), in_float);
}

TEST_F(CublasLt, PreferencesLeaveAlgorithmsOut) {
    ASSERT_EQ(ask(), CUBLAS_STATUS_SUCCESS);
    const size_t all = results.size();
    ASSERT_EQ(ask(3), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(results.size(), 3u);
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
    ASSERT_EQ(ask(), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(results.size(), all - 2);
    for (const auto& result : results) EXPECT_EQ(config(result.algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME) & ~2u, 0u);
    align(4);
    ASSERT_EQ(ask(), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(results.size(), 6u);
    const uint64_t none = 0;
    ASSERT_EQ(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &none, 8),
              CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(ask(), CUBLAS_STATUS_SUCCESS);
    for (const auto& result : results) EXPECT_EQ(result.workspaceSize, 0u);
    EXPECT_EQ(results.size(), 2u);
    // A leading dimension that is not aligned rules out what a pointer would.
    align(16);
    make(a, CUDA_R_32F, kRows, kDepth, kRows + 1);
    ASSERT_EQ(ask(), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(results.size(), 2u);
}

TEST_F(CublasLt, RefusesWhatTheLibraryRefuses) {
    constexpr auto kInvalid = CUBLAS_STATUS_INVALID_VALUE, kNot = CUBLAS_STATUS_NOT_SUPPORTED;
    constexpr int64_t kMany = int64_t{1} << 31;
    const struct {
        const char* what;
        std::function<void()> change;
        cublasStatus_t status;
    } cases[] = {
        {"no rows", [&] { make(a, CUDA_R_32F, 0, kDepth, kRows); }, kInvalid},
        {"columns that overlap", [&] { make(a, CUDA_R_32F, kRows, kDepth, kRows - 1); }, kInvalid},
        {"2^31 rows", [&] { make(a, CUDA_R_32F, kMany, kDepth, kMany); }, kNot},
        {"other depths", [&] { make(b, CUDA_R_32F, kDepth + 8, kColumns, kDepth + 8); }, kInvalid},
        {"other columns", [&] { make(b, CUDA_R_32F, kDepth, kColumns + 8, kDepth); }, kInvalid},
        {"another C than D", [&] { make(c, CUDA_R_32F, kRows, kColumns + 8, kRows); }, kInvalid},
        {"factors of two types", [&] { make(a, CUDA_R_16BF, kRows, kDepth, kRows); }, kNot},
        {"C and D of two types", [&] { make(c, CUDA_R_16BF, kRows, kColumns, kRows); }, kNot},
        {"bf16 of fp32",
         [&] {
             make(c, CUDA_R_16BF, kRows, kColumns, kRows);
             make(d, CUDA_R_16BF, kRows, kColumns, kRows);
         },
         kNot},
        {"rows after rows",
         [&] {
             const int32_t order = CUBLASLT_ORDER_ROW;
             EXPECT_EQ(cublasLtMatrixLayoutSetAttribute(a, CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof order),
                       CUBLAS_STATUS_SUCCESS);
         },
         kNot},
        {"sums in half", [&] { make_desc(CUBLAS_COMPUTE_16F, CUDA_R_32F); }, kNot},
        {"scales in double", [&] { make_desc(CUBLAS_COMPUTE_32F, CUDA_R_64F); }, kNot},
        {"an epilogue", [&] { set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_RELU); }, kNot},
        {"A transposed", [&] { set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T); }, kInvalid},
        {"B transposed", [&] { set(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_T); }, kInvalid},
    };
    ASSERT_EQ(ask(), CUBLAS_STATUS_SUCCESS);
    const auto good = results.front().algo;
    for (const auto& test : cases) {
        SCOPED_TRACE(test.what);
        make_desc(CUBLAS_COMPUTE_32F, CUDA_R_32F);
        make(a, CUDA_R_32F, kRows, kDepth, kRows);
        make(b, CUDA_R_32F, kDepth, kColumns, kDepth);
        make(c, CUDA_R_32F, kRows, kColumns, kRows);
        make(d, CUDA_R_32F, kRows, kColumns, kRows);
        EXPECT_EQ(ask(), CUBLAS_STATUS_SUCCESS);
        EXPECT_EQ(check(good), CUBLAS_STATUS_SUCCESS);
        test.change();
        EXPECT_EQ(ask(), test.status);
        EXPECT_EQ(check(good), test.status);
        EXPECT_EQ(multiply(&good), test.status);
    }
}

TEST_F(CublasLt, RefusesCallsOfAnotherProblem) {
    constexpr auto kInvalid = CUBLAS_STATUS_INVALID_VALUE;
    ASSERT_EQ(ask(), CUBLAS_STATUS_SUCCESS);
    const auto split = results.front().algo, wide = results[2].algo;
    ASSERT_EQ(config(split, CUBLASLT_ALGO_CONFIG_SPLITK_NUM), 2u);
    EXPECT_EQ(multiply(nullptr), kInvalid);
    EXPECT_EQ(multiply(&wide), CUBLAS_STATUS_SUCCESS);
    const auto with = [&](auto& argument, auto value, const cublasLtMatmulAlgo_t& algo) {
        const auto before = std::exchange(argument, value);
        const cublasStatus_t status = multiply(&algo);
        argument = before;
        return status;
    };
    const auto moved = [](const void* p, size_t bytes) { return static_cast<const char*>(p) + bytes; };
    const auto moved_to = [](void* p, size_t bytes) { return static_cast<char*>(p) + bytes; };
    for (const void** argument : {&alpha, &beta, &pa, &pb, &pc}) EXPECT_EQ(with(*argument, nullptr, wide), kInvalid);
    EXPECT_EQ(with(pd, nullptr, wide), kInvalid);
    EXPECT_EQ(with(handle, nullptr, wide), CUBLAS_STATUS_NOT_INITIALIZED);
    // Pointers: 4 bytes are an element's, which some algorithms do with.
    for (const void** argument : {&pa, &pb, &pc}) {
        EXPECT_EQ(with(*argument, moved(*argument, 4), wide), kInvalid);
        EXPECT_EQ(with(*argument, moved(*argument, 2), split), kInvalid);
    }
    EXPECT_EQ(with(pa, moved(pa, 4), split), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(with(pd, moved_to(pd, 4), wide), kInvalid);
    // The workspace.
    EXPECT_EQ(with(workspace, moved_to(workspace, 128), split), kInvalid);
    EXPECT_EQ(with(workspace, nullptr, split), kInvalid);
    EXPECT_EQ(with(workspace_bytes, results.front().workspaceSize - 1, split), kInvalid);
    EXPECT_EQ(with(workspace_bytes, results.front().workspaceSize, split), CUBLAS_STATUS_SUCCESS);
    // C in place has D's layout.
    make(c, CUDA_R_32F, kRows, kColumns, kRows + 8);
    EXPECT_EQ(multiply(&split), kInvalid);
    make(c, CUDA_R_32F, kRows, kColumns, kRows);
    // An algorithm of no library, of other types, of more elements than there are, of wider rows.
    cublasLtMatmulAlgo_t rubbish;
    std::memset(&rubbish, 0x5a, sizeof rubbish);
    EXPECT_EQ(multiply(&rubbish), kInvalid);
    EXPECT_EQ(check(rubbish), kInvalid);
    make(a, CUDA_R_16BF, kRows, kDepth, kRows);
    make(b, CUDA_R_16BF, kDepth, kColumns, kDepth);
    EXPECT_EQ(check(wide), kInvalid);
    make(a, CUDA_R_32F, kRows, 8, kRows);
    make(b, CUDA_R_32F, 8, kColumns, 8);
    EXPECT_EQ(check(split), CUBLAS_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(check(wide), CUBLAS_STATUS_SUCCESS);
    make(b, CUDA_R_32F, 8, kColumns, 9);
    EXPECT_EQ(check(wide), CUBLAS_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(wait(), "");
}

TEST_F(CublasLt, AttributesHaveTheirBytes) {
    constexpr auto kInvalid = CUBLAS_STATUS_INVALID_VALUE;
    const int64_t x = 1;
    EXPECT_EQ(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &x, 8), kInvalid);
    EXPECT_EQ(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, nullptr, 4), kInvalid);
    EXPECT_EQ(cublasLtMatrixLayoutSetAttribute(a, CUBLASLT_MATRIX_LAYOUT_ORDER, &x, 8), kInvalid);
    EXPECT_EQ(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &x, 4),
              kInvalid);
    EXPECT_EQ(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &x, 8),
              kInvalid);
    const uint32_t three = 3;
    EXPECT_EQ(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &three, 4),
              kInvalid);
    EXPECT_EQ(ask(0), kInvalid);
}

// What lies outside of an allocation, or in the host's memory, is found where a GPU would find it: as the product runs.
TEST_F(CublasLt, ReadsAndWritesDeviceMemoryAlone) {
    ASSERT_EQ(ask(), CUBLAS_STATUS_SUCCESS);
    const auto algo = results.back().algo;
    alignas(16) float host[kRows * kDepth] = {};
    pa = host;
    EXPECT_EQ(multiply(&algo), CUBLAS_STATUS_SUCCESS);
    std::string said = wait();
    EXPECT_NE(said.find("cublasLtMatmul: A "), said.npos) << said;
    pa = a_data.data();
    pd = d_data.data() + 32;
    pc = pd;
    EXPECT_EQ(multiply(&algo), CUBLAS_STATUS_SUCCESS);
    said = wait();
    EXPECT_NE(said.find("cublasLtMatmul: D "), said.npos) << said;
}

TEST_F(CublasLt, StreamsThatShareAWorkspaceAreFound) {
    const Stream other = memory().open_stream();
    ASSERT_EQ(ask(), CUBLAS_STATUS_SUCCESS);
    const auto split = results.front().algo;
    const OnDevice<float> elsewhere(std::vector<float>(kRows * kColumns));
    ASSERT_EQ(multiply(&split), CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cublasLtMatmul(handle, desc, &one, pa, a, pb, b, &zero, elsewhere.data(), c, elsewhere.data(), d, &split,
                             workspace, workspace_bytes, static_cast<cudaStream_t>(other.handle)),
              CUBLAS_STATUS_SUCCESS);
    std::string said = wait();
    cudaDeviceSynchronize();
    if (said.empty()) said = wait();
    EXPECT_NE(said.find("its workspace: writes device memory that emu::CublasLtMatmul on another stream wrote"),
              said.npos)
        << said;
    memory().close_stream(other);
}

TEST_F(CublasLt, CanHaveNoAlgorithmAndCanFail) {
    ASSERT_EQ(ask(), CUBLAS_STATUS_SUCCESS);
    const auto algo = results.back().algo;
    emu::options().products = emu::Products::fail;
    EXPECT_EQ(multiply(&algo), CUBLAS_STATUS_EXECUTION_FAILED);
    emu::options().products = emu::Products::none;
    EXPECT_EQ(ask(), CUBLAS_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(check(algo), CUBLAS_STATUS_NOT_SUPPORTED);
    EXPECT_EQ(multiply(&algo), CUBLAS_STATUS_NOT_SUPPORTED);
}

// ---------------------------------------------------------------- events
class Times : public Emulator {
 protected:
    Times() {
        for (auto& event : {&start, &end}) EXPECT_EQ(cudaEventCreateWithFlags(event, cudaEventDefault), cudaSuccess);
    }
    ~Times() override {
        for (const auto event : {start, end}) cudaEventDestroy(event);
    }
    cudaEvent_t start = nullptr, end = nullptr;
};

TEST_F(Times, PassAsTasksRun) {
    const auto handle = static_cast<cudaStream_t>(stream().handle);
    const OnDevice<float> x(std::vector<float>(8));
    float short_time = -1, long_time = -1;
    EXPECT_EQ(cudaEventElapsedTime(&short_time, start, end), cudaErrorInvalidResourceHandle);  // never recorded
    for (float* time : {&short_time, &long_time}) {
        EXPECT_EQ(cudaEventRecord(start, handle), cudaSuccess);
        for (int i = 0; i < (time == &long_time ? 5 : 1); i++) memory().zero(stream(), x.data(), 8);
        EXPECT_EQ(cudaEventRecord(end, handle), cudaSuccess);
        EXPECT_EQ(cudaEventElapsedTime(time, start, end), cudaErrorNotReady);
        EXPECT_EQ(cudaEventSynchronize(end), cudaSuccess);
        EXPECT_EQ(cudaEventElapsedTime(time, start, end), cudaSuccess);
    }
    EXPECT_GT(short_time, 0);
    EXPECT_GT(long_time, short_time);
    cudaEvent_t untimed = nullptr;
    EXPECT_EQ(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming), cudaSuccess);
    EXPECT_EQ(cudaEventRecord(untimed, handle), cudaSuccess);
    EXPECT_EQ(cudaEventSynchronize(untimed), cudaSuccess);
    EXPECT_EQ(cudaEventElapsedTime(&short_time, start, untimed), cudaErrorInvalidResourceHandle);
    cudaEventDestroy(untimed);
    EXPECT_EQ(cudaEventCreateWithFlags(&untimed, 64), cudaErrorInvalidValue);
    cudaGetLastError();
}

}  // namespace
}  // namespace sluice
