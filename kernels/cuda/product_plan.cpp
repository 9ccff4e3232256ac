#include "kernels/cuda/product_plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

#include "base/check.h"

namespace sluice {
namespace {

constexpr int kCandidates = 16;
constexpr uintptr_t kWidestAccess = 16;  // bytes: no kernel asks for more of a pointer

// Of schemes that add up parts of a sum: none, or parts in float, in a step of its own. The others round parts to the
// type of the result.
constexpr uint32_t kReductions = CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;

void done(cublasStatus_t status, const char* what) {
    if (status != CUBLAS_STATUS_SUCCESS)
        fail(Exit::other, std::string("cuBLASLt: ") + what + ": " + cublasLtGetStatusString(status));
}

int alignment_of(const void* p, const void* q = nullptr) {
    const uintptr_t bits = reinterpret_cast<uintptr_t>(p) | reinterpret_cast<uintptr_t>(q) | kWidestAccess;
    return int(bits & -bits);
}

cudaDataType_t type_of(Element element) { return element == Element::bf16 ? CUDA_R_16BF : CUDA_R_32F; }
const char* name_of(Element element) { return element == Element::bf16 ? "bf16" : "fp32"; }
const char* name_of(ProductKey::Into into) {
    return into == ProductKey::Into::overwrite ? "set" : into == ProductKey::Into::add ? "add" : "base";
}

// A matrix (rows, columns) that is stored row by row is one (columns, rows) column by column.
cublasLtMatrixLayout_t new_layout(Element element, int64_t rows, int64_t columns, int64_t stride) {
    cublasLtMatrixLayout_t layout = nullptr;
    done(cublasLtMatrixLayoutCreate(&layout, type_of(element), uint64_t(columns), uint64_t(rows), stride), "a layout");
    return layout;
}
cublasLtMatrixLayout_t new_layout(Element element, int64_t side, int64_t depth, int64_t stride, bool transposed) {
    return transposed ? new_layout(element, depth, side, stride) : new_layout(element, side, depth, stride);
}

cublasLtMatmulDesc_t new_desc() {
    cublasLtMatmulDesc_t desc = nullptr;
    done(cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "an operation");
    return desc;
}
void set(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute, int32_t value) {
    done(cublasLtMatmulDescSetAttribute(desc, attribute, &value, sizeof value), "an operation");
}

cublasLtMatmulPreference_t new_preference() {
    cublasLtMatmulPreference_t preference = nullptr;
    done(cublasLtMatmulPreferenceCreate(&preference), "a preference");
    return preference;
}
template <class X>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, X value) {
    done(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value), "a preference");
}

}  // namespace

// ---------------------------------------------------------------- keys and lines
ProductKey key_of(const Product& p) {
    using Into = ProductKey::Into;
    ProductKey key{};
    key.m = p.m, key.n = p.n, key.depth = p.depth;
    key.a_stride = p.a.stride, key.b_stride = p.b.stride, key.c_stride = p.stride;
    key.a_transposed = p.a.transposed, key.b_transposed = p.b.transposed;
    key.element = p.element, key.result = p.result;
    key.into = !p.base ? Into::overwrite : p.base == p.c ? Into::add : Into::base;
    key.a_alignment = alignment_of(p.a.data);
    key.b_alignment = alignment_of(p.b.data);
    key.c_alignment = alignment_of(p.c, p.base);
    return key;
}

std::string to_text(const ProductKey& k) {
    const auto list = [](std::array<int64_t, 3> numbers, const char* between) {
        return std::to_string(numbers[0]) + between + std::to_string(numbers[1]) + between + std::to_string(numbers[2]);
    };
    return list({k.m, k.n, k.depth}, "x") + (k.a_transposed ? " t" : " n") + (k.b_transposed ? "t " : "n ") +
           name_of(k.element) + " " + name_of(k.result) + " " + name_of(k.into) + " strides " +
           list({k.a_stride, k.b_stride, k.c_stride}, " ") + " aligned " +
           list({k.a_alignment, k.b_alignment, k.c_alignment}, " ");
}

std::string to_line(const std::string& key, const cublasLtMatmulAlgo_t& algorithm) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::array<unsigned char, sizeof algorithm> bytes;
    std::memcpy(bytes.data(), &algorithm, sizeof algorithm);
    std::string line = key + " = ";
    for (const unsigned char byte : bytes) line += {kDigits[byte / 16], kDigits[byte % 16]};
    return line;
}

std::optional<ProductChoice> parse_choice(const std::string& line) {
    constexpr std::string_view kSeparator = " = ";
    const size_t at = line.find(kSeparator), begin = at + kSeparator.size();
    ProductChoice choice;
    std::array<unsigned char, sizeof choice.algorithm> bytes;
    if (at == line.npos || at == 0 || line.size() != begin + 2 * bytes.size()) return {};
    for (size_t i = 0; i < bytes.size(); i++) {
        const char* const digits = line.data() + begin + 2 * i;
        const auto [end, error] = std::from_chars(digits, digits + 2, bytes[i], 16);
        if (error != std::errc() || end != digits + 2) return {};
    }
    choice.key = line.substr(0, at);
    std::memcpy(&choice.algorithm, bytes.data(), bytes.size());
    return choice;
}

// ---------------------------------------------------------------- plans
ProductPlan::ProductPlan(const ProductKey& k)
    : desc_(new_desc(), cublasLtMatmulDescDestroy),
      a_(new_layout(k.element, k.n, k.depth, k.b_stride, k.b_transposed), cublasLtMatrixLayoutDestroy),
      b_(new_layout(k.element, k.m, k.depth, k.a_stride, k.a_transposed), cublasLtMatrixLayoutDestroy),
      c_(new_layout(k.result, k.m, k.n, k.c_stride), cublasLtMatrixLayoutDestroy),
      preference_(new_preference(), cublasLtMatmulPreferenceDestroy) {
    // Column by column, b as it is stored is (depth, n), and the product is of (n, depth) and (depth, m).
    set(desc_.get(), CUBLASLT_MATMUL_DESC_TRANSA, k.b_transposed ? CUBLAS_OP_N : CUBLAS_OP_T);
    set(desc_.get(), CUBLASLT_MATMUL_DESC_TRANSB, k.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    cublasLtMatmulPreference_t p = preference_.get();
    set(p, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t(kProductWorkspace));
    set(p, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, kReductions);
    set(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, uint32_t(k.b_alignment));
    set(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, uint32_t(k.a_alignment));
    set(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, uint32_t(k.c_alignment));
    set(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, uint32_t(k.c_alignment));
}

std::vector<cublasLtMatmulAlgo_t> ProductPlan::candidates(const ProductLibrary& library) const {
    std::array<cublasLtMatmulHeuristicResult_t, kCandidates> results{};
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(library.handle, desc_.get(), a_.get(), b_.get(), c_.get(), c_.get(),
                                       preference_.get(), kCandidates, results.data(), &found);
    std::vector<cublasLtMatmulAlgo_t> all;
    if (status != CUBLAS_STATUS_SUCCESS) return all;
    for (int i = 0; i < found; i++)
        if (results[size_t(i)].state == CUBLAS_STATUS_SUCCESS && may_run(library, results[size_t(i)].algo))
            all.push_back(results[size_t(i)].algo);
    return all;
}

bool ProductPlan::may_run(const ProductLibrary& library, const cublasLtMatmulAlgo_t& algorithm) const {
    cublasLtMatmulHeuristicResult_t result{};
    if (cublasLtMatmulAlgoCheck(library.handle, desc_.get(), a_.get(), b_.get(), c_.get(), c_.get(), &algorithm,
                                &result) != CUBLAS_STATUS_SUCCESS)
        return false;
    uint32_t reduction = 0;
    size_t written = 0;
    return cublasLtMatmulAlgoConfigGetAttribute(&algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &reduction,
                                                sizeof reduction, &written) == CUBLAS_STATUS_SUCCESS &&
           (reduction & ~kReductions) == 0 && result.workspaceSize <= kProductWorkspace;
}

cublasStatus_t ProductPlan::queue(const ProductLibrary& library, cudaStream_t stream,
                                  const cublasLtMatmulAlgo_t& algorithm, const Product& p, void* c,
                                  const void* base) const {
    const float beta = base ? p.base_scale : 0;
    return cublasLtMatmul(library.handle, desc_.get(), &p.scale, p.b.data, a_.get(), p.a.data, b_.get(), &beta,
                          base ? base : c, c_.get(), c, c_.get(), &algorithm, library.workspace, kProductWorkspace,
                          stream);
}

}  // namespace sluice
