// Rules cite cuBLASLt's documentation by the name of its section, or cublasLt.h by what the comment belongs to.
#include "kernels/emu/cublaslt.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "base/bf16.h"
#include "base/check.h"
#include "base/rng.h"
#include "kernels/emu/device_memory.h"
#include "kernels/emu/emu.h"
#include "kernels/emu/queue.h"
#include "kernels/emu/touch.h"

struct cublasLtContext {
    uint64_t kind;
};

namespace sluice::emu {
namespace {

// What opaque structures hold; `kind` tells them apart, and from what was never made.
constexpr uint64_t kHandle = 0x5eed01, kLayout = 0x5eed02, kDesc = 0x5eed03, kPreference = 0x5eed04, kAlgo = 0x5eed05;
struct Layout {
    uint64_t kind, type, order, rows, columns;
    int64_t ld;
};
struct Desc {
    uint64_t kind, compute, scale, transposes_a, transposes_b, epilogue;
};
struct Preference {
    uint64_t kind, workspace, reductions;
    uint32_t alignment[4];  // bytes, of A, B, C, D
};
struct Algo {
    uint64_t kind, id, operation;
};
template <class Held, class Opaque>
Held held(const Opaque& opaque) {
    static_assert(sizeof(Held) <= sizeof(Opaque));
    Held value;
    std::memcpy(&value, opaque.data, sizeof value);
    return value;
}
template <class Opaque, class Held>
void hold(Opaque* opaque, const Held& value) {
    *opaque = {};
    std::memcpy(opaque->data, &value, sizeof value);
}
template <class Held, class Opaque>
bool is(const Opaque* opaque, uint64_t kind) {
    return opaque && held<Held>(*opaque).kind == kind;
}

// ---------------------------------------------------------------- algorithms
struct Algorithm {
    uint64_t id;
    int chains;  // partial sums of a split: chain c adds up elements c, c + chains, ...
    int splits;  // of the sum, each a run of elements
    cublasLtReductionScheme_t reduction;
    uint32_t alignment;  // bytes, of pointers and leading dimensions; 0: an element's
};
constexpr auto kNoReduction = CUBLASLT_REDUCTION_SCHEME_NONE, kInFloat = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
constexpr Algorithm kAlgorithms[] = {
    {20, 1, 2, CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE, 0},
    {21, 1, 2, CUBLASLT_REDUCTION_SCHEME_INPLACE, 0},
    {0, 4, 1, kNoReduction, 16},
    {1, 8, 1, kNoReduction, 16},
    {2, 4, 2, kInFloat, 16},
    {3, 8, 2, kInFloat, 16},
    {4, 4, 4, kInFloat, 16},
    {5, 8, 4, kInFloat, 16},
    {6, 1, 1, kNoReduction, 0},
    {7, 2, 1, kNoReduction, 0},
    {8, 1, 2, kInFloat, 0},
    {9, 2, 2, kInFloat, 0},
    {10, 1, 4, kInFloat, 0},
    {11, 2, 4, kInFloat, 0},
};
constexpr uint64_t kLeastSplit = 8;  // elements

size_t size_of(uint64_t type) { return type == CUDA_R_16BF ? sizeof(bf16) : sizeof(float); }

// ---------------------------------------------------------------- operations
struct Operation {
    Desc desc;
    Layout a, b, c, d;

    uint64_t depth() const { return desc.transposes_a ? a.rows : a.columns; }
    uint64_t elements() const { return d.rows * d.columns; }
    // Of what kind it is, which algorithms are for.
    uint64_t kind() const {
        return a.type | b.type << 8 | d.type << 16 | desc.transposes_a << 24 | desc.transposes_b << 25 |
               desc.compute << 32;
    }
    uint64_t workspace(const Algorithm& algorithm) const {
        if (algorithm.splits == 1) return 0;
        const size_t item = algorithm.reduction == kInFloat ? sizeof(float) : size_of(d.type);
        return uint64_t(algorithm.splits) * elements() * item;
    }
};

// "cublasLtMatrixLayoutAttribute_t": extents are those of int32_t, and columns may not overlap.
cublasStatus_t judge(const Layout& layout) {
    if (layout.order != CUBLASLT_ORDER_COL) return CUBLAS_STATUS_NOT_SUPPORTED;  // the library has more of them
    if (layout.rows == 0 || layout.columns == 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (layout.rows > INT32_MAX || layout.columns > INT32_MAX) return CUBLAS_STATUS_NOT_SUPPORTED;
    return layout.ld < int64_t(layout.rows) ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS;
}

// "cublasLtMatmul()", the table of types for regular matrices: of fp32 sums with scales in fp32 those rows that Sluice
// has a use for. C and D are of one type there.
bool are_supported(const Operation& o) {
    if (o.desc.compute != CUBLAS_COMPUTE_32F || o.desc.scale != CUDA_R_32F) return false;
    if (o.a.type != o.b.type || o.c.type != o.d.type) return false;
    if (o.a.type == CUDA_R_16BF) return o.d.type == CUDA_R_16BF || o.d.type == CUDA_R_32F;
    return o.a.type == CUDA_R_32F && o.d.type == CUDA_R_32F;
}

// D (rows, columns) = op(A) op(B), and C is like D: "cublasLtMatmul()".
bool agree(const Operation& o) {
    const uint64_t rows = o.desc.transposes_a ? o.a.columns : o.a.rows;
    const uint64_t columns = o.desc.transposes_b ? o.b.rows : o.b.columns;
    const uint64_t depth_of_b = o.desc.transposes_b ? o.b.columns : o.b.rows;
    return o.depth() == depth_of_b && rows == o.d.rows && columns == o.d.columns && o.c.rows == rows &&
           o.c.columns == columns;
}

cublasStatus_t read(Operation* to, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                    cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d) {
    if (!is<Desc>(desc, kDesc)) return CUBLAS_STATUS_INVALID_VALUE;
    for (const auto* layout : {a, b, c, d})
        if (!is<Layout>(layout, kLayout)) return CUBLAS_STATUS_INVALID_VALUE;
    *to = {held<Desc>(*desc), held<Layout>(*a), held<Layout>(*b), held<Layout>(*c), held<Layout>(*d)};
    for (const Layout& layout : {to->a, to->b, to->c, to->d})
        if (const cublasStatus_t status = judge(layout); status != CUBLAS_STATUS_SUCCESS) return status;
    if (to->desc.epilogue != CUBLASLT_EPILOGUE_DEFAULT || !are_supported(*to)) return CUBLAS_STATUS_NOT_SUPPORTED;
    return agree(*to) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

// "cublasLtMatmulAlgoCapAttributes_t": the least alignment of a matrix is that of its pointer and leading dimension.
bool suits(const Algorithm& algorithm, const Operation& o) {
    for (const Layout& layout : {o.a, o.b, o.c, o.d})
        if (algorithm.alignment && uint64_t(layout.ld) * size_of(layout.type) % algorithm.alignment) return false;
    return algorithm.splits == 1 || o.depth() >= kLeastSplit * uint64_t(algorithm.splits);
}

// What an algorithm descriptor means for the operation: "cublasLtMatmulAlgoCheck".
cublasStatus_t read(const Algorithm** to, const cublasLtMatmulAlgo_t* algo, const Operation& o) {
    if (!is<Algo>(algo, kAlgo)) return CUBLAS_STATUS_INVALID_VALUE;
    const Algo is = held<Algo>(*algo);
    const auto* found =
        std::find_if(std::begin(kAlgorithms), std::end(kAlgorithms), [&](const Algorithm& a) { return a.id == is.id; });
    if (found == std::end(kAlgorithms) || is.operation != o.kind()) return CUBLAS_STATUS_INVALID_VALUE;
    if (options().products == Products::none || !suits(*found, o)) return CUBLAS_STATUS_NOT_SUPPORTED;
    *to = found;
    return CUBLAS_STATUS_SUCCESS;
}

// ---------------------------------------------------------------- multiplying
// A product that is queued, and what errors call it.
struct CublasLtMatmul {
    Operation operation;
    Algorithm algorithm;
    float alpha, beta;
    const void *a, *b, *c;
    void *d, *workspace;
};

// A read or write of all elements of a matrix, but not of what lies between its columns.
void touch_matrix(const char* name, const void* p, const Layout& layout, bool writes) {
    const size_t item = size_of(layout.type), column = layout.rows * item, step = size_t(layout.ld) * item;
    const size_t bytes = (layout.columns - 1) * step + column;
    const std::string who = std::string("cublasLtMatmul: ") + name;
    const DeviceMemory& memory = DeviceMemory::get();
    const Allocation* allocation = memory.find(p);
    if (!allocation || !allocation->contains(p, bytes)) fail(Exit::other, who + " " + memory.describe(p, bytes));
    const std::string does = who + ":";
    if (column == step) return touch(does.c_str(), p, bytes, writes);
    for (uint64_t j = 0; j < layout.columns; j++)
        touch(does.c_str(), static_cast<const char*>(p) + j * step, column, writes);
}

float load(const void* p, uint64_t type, size_t at) {
    return type == CUDA_R_16BF ? float(static_cast<const bf16*>(p)[at]) : static_cast<const float*>(p)[at];
}
void store(void* p, uint64_t type, size_t at, float x) {
    if (type == CUDA_R_16BF)
        static_cast<bf16*>(p)[at] = bf16(x);
    else
        static_cast<float*>(p)[at] = x;
}

// (rows, columns), row by row, of a matrix that is read as it is or transposed.
std::vector<float> by_rows(const void* p, const Layout& layout, bool transposes) {
    const size_t rows = transposes ? layout.columns : layout.rows, columns = transposes ? layout.rows : layout.columns;
    const size_t down = transposes ? size_t(layout.ld) : 1, right = transposes ? 1 : size_t(layout.ld);
    std::vector<float> to(rows * columns);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) to[i * columns + j] = load(p, layout.type, i * down + j * right);
    return to;
}

// sums (rows of D) = elements begin .. end - 1 of the sums of a column of D, in `chains` chains that are added up in
// turn. a: op(A) transposed, row by row. b: the column of op(B).
void add_up(float* sums, std::vector<float>& chains_memory, const std::vector<float>& a, const float* b, size_t rows,
            size_t begin, size_t end, int chains) {
    chains_memory.assign(rows * size_t(chains), 0);
    for (size_t l = begin; l < end; l++) {
        float* to = &chains_memory[(l - begin) % size_t(chains) * rows];
        const float factor = b[l];
        const float* from = &a[l * rows];
        for (size_t i = 0; i < rows; i++) to[i] += factor * from[i];
    }
    std::copy_n(chains_memory.data(), rows, sums);
    for (size_t c = 1; c < size_t(chains); c++)
        for (size_t i = 0; i < rows; i++) sums[i] += chains_memory[c * rows + i];
}

void multiply(const CublasLtMatmul& m) {
    const Operation& o = m.operation;
    const size_t rows = o.d.rows, columns = o.d.columns, depth = o.depth(), splits = size_t(m.algorithm.splits);
    const std::vector<float> a = by_rows(m.a, o.a, !o.desc.transposes_a);  // (depth, rows)
    const std::vector<float> b = by_rows(m.b, o.b, !o.desc.transposes_b);  // (columns, depth)
    const bool in_float = m.algorithm.reduction == kInFloat || m.algorithm.reduction == kNoReduction;
    const uint64_t partial = in_float ? uint64_t(CUDA_R_32F) : o.d.type;
    std::vector<float> sums(rows), chains;
    for (size_t j = 0; j < columns; j++) {
        for (size_t s = 0; s < splits; s++) {
            add_up(sums.data(), chains, a, &b[j * depth], rows, depth * s / splits, depth * (s + 1) / splits,
                   m.algorithm.chains);
            for (size_t i = 0; i < rows && splits > 1; i++)
                store(m.workspace, partial, (s * columns + j) * rows + i, sums[i]);
        }
        for (size_t i = 0; i < rows; i++) {
            float sum = splits > 1 ? 0 : sums[i];
            for (size_t s = 0; s < splits && splits > 1; s++)
                sum += load(m.workspace, partial, (s * columns + j) * rows + i);
            float result = m.alpha * sum;
            if (m.beta != 0) result += m.beta * load(m.c, o.c.type, j * size_t(o.c.ld) + i);
            store(m.d, o.d.type, j * size_t(o.d.ld) + i, result);
        }
    }
}

// An algorithm that first runs is loaded. Which takes how long depends on the shape, and on nothing that changes.
void spend(const CublasLtMatmul& m) {
    static std::set<std::pair<uint64_t, uint64_t>> loaded;
    const Operation& o = m.operation;
    const uint64_t shape = mix(mix(o.d.rows, o.d.columns), mix(o.depth(), o.kind()));
    double time = 0.01 + 2e-9 * double(o.elements()) * double(o.depth());
    time *= 1 + double(mix(shape, m.algorithm.id) % 64) / 64;
    if (options().fastest == int(m.algorithm.id)) time /= 10;
    if (loaded.insert({o.kind(), m.algorithm.id}).second) time *= 50;
    Device::get().spend(time);
}

void run(const CublasLtMatmul& m) {
    const Operation& o = m.operation;
    touch_matrix("A", m.a, o.a, false);
    touch_matrix("B", m.b, o.b, false);
    if (m.beta != 0) touch_matrix("C", m.c, o.c, false);
    if (const uint64_t bytes = o.workspace(m.algorithm))
        touch("cublasLtMatmul: its workspace:", m.workspace, bytes, true);
    touch_matrix("D", m.d, o.d, true);
    multiply(m);
    spend(m);
}

// "cublasLtMatmul()": all matrices and scalars must be there. C and D may be one matrix of one layout. A pointer is
// aligned as the algorithm needs it, and to its elements; the workspace to 256 bytes, with no less than the algorithm
// asks for.
cublasStatus_t judge(const CublasLtMatmul& m, size_t workspace_bytes) {
    const Operation& o = m.operation;
    const std::pair<const void*, const Layout*> matrices[] = {{m.a, &o.a}, {m.b, &o.b}, {m.c, &o.c}, {m.d, &o.d}};
    for (const auto& [p, layout] : matrices) {
        const size_t least = std::max<size_t>(m.algorithm.alignment, size_of(layout->type));
        if (!p || reinterpret_cast<uintptr_t>(p) % least) return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (m.c == m.d && o.c.ld != o.d.ld) return CUBLAS_STATUS_INVALID_VALUE;
    if (!m.workspace && workspace_bytes > 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (reinterpret_cast<uintptr_t>(m.workspace) % 256) return CUBLAS_STATUS_INVALID_VALUE;
    return workspace_bytes < o.workspace(m.algorithm) ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS;
}

bool is_handle(cublasLtHandle_t handle) { return handle && handle->kind == kHandle; }

// Descriptors as the library makes and destroys them.
template <class Opaque, class Held>
cublasStatus_t make(Opaque** to, const Held& value) {
    if (!to) return CUBLAS_STATUS_INVALID_VALUE;
    *to = new Opaque;
    hold(*to, value);
    return CUBLAS_STATUS_SUCCESS;
}
template <class Opaque>
cublasStatus_t destroy(Opaque* opaque) {
    delete opaque;
    return CUBLAS_STATUS_SUCCESS;
}
// Attributes are set from as many bytes as they have: "cublasLtMatmulDescSetAttribute" and its like.
template <class X>
bool take(uint64_t* to, const void* value, size_t bytes) {
    if (!value || bytes != sizeof(X)) return false;
    X x;
    std::memcpy(&x, value, sizeof x);
    *to = uint64_t(x);
    return true;
}

}  // namespace
}  // namespace sluice::emu

using namespace sluice::emu;

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
    if (!handle) return CUBLAS_STATUS_INVALID_VALUE;
    *handle = new cublasLtContext{kHandle};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    if (!is_handle(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion() { return 0; }  // of no release of the library

const char* cublasLtGetStatusString(cublasStatus_t status) {
    switch (status) {
        case CUBLAS_STATUS_SUCCESS:
            return "success";
        case CUBLAS_STATUS_NOT_INITIALIZED:
            return "the library was not initialized";
        case CUBLAS_STATUS_ALLOC_FAILED:
            return "an allocation failed";
        case CUBLAS_STATUS_INVALID_VALUE:
            return "an invalid value";
        case CUBLAS_STATUS_EXECUTION_FAILED:
            return "the execution failed";
        case CUBLAS_STATUS_NOT_SUPPORTED:
            return "not supported";
    }
    return "unknown status";
}

// ---------------------------------------------------------------- descriptors
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t ld) {
    return make(layout, Layout{kLayout, uint64_t(type), CUBLASLT_ORDER_COL, rows, columns, ld});
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return destroy(layout); }
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t,
                                                const void* value, size_t bytes) {
    if (!is<Layout>(layout, kLayout)) return CUBLAS_STATUS_INVALID_VALUE;
    Layout changed = held<Layout>(*layout);
    if (!take<int32_t>(&changed.order, value, bytes)) return CUBLAS_STATUS_INVALID_VALUE;
    hold(layout, changed);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute, cudaDataType_t scale) {
    return make(desc, Desc{kDesc, uint64_t(compute), uint64_t(scale), 0, 0, CUBLASLT_EPILOGUE_DEFAULT});
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) { return destroy(desc); }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
    if (!is<Desc>(desc, kDesc)) return CUBLAS_STATUS_INVALID_VALUE;
    Desc changed = held<Desc>(*desc);
    uint64_t x = 0;
    if (!take<int32_t>(&x, value, bytes)) return CUBLAS_STATUS_INVALID_VALUE;
    if (attribute == CUBLASLT_MATMUL_DESC_EPILOGUE)
        changed.epilogue = x;
    else if (x != CUBLAS_OP_N && x != CUBLAS_OP_T)
        return CUBLAS_STATUS_INVALID_VALUE;
    else
        (attribute == CUBLASLT_MATMUL_DESC_TRANSA ? changed.transposes_a : changed.transposes_b) = x;
    hold(desc, changed);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
    return make(preference, Preference{kPreference, 0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}});
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) { return destroy(preference); }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    size_t bytes) {
    if (!is<Preference>(preference, kPreference)) return CUBLAS_STATUS_INVALID_VALUE;
    Preference changed = held<Preference>(*preference);
    uint64_t x = 0;
    const bool wide = attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
    if (!(wide ? take<uint64_t>(&x, value, bytes) : take<uint32_t>(&x, value, bytes)))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (wide) {
        changed.workspace = x;
    } else if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK) {
        changed.reductions = x;
    } else {
        if (x == 0 || (x & (x - 1)) != 0) return CUBLAS_STATUS_INVALID_VALUE;
        changed.alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES] = uint32_t(x);
    }
    hold(preference, changed);
    return CUBLAS_STATUS_SUCCESS;
}

// ---------------------------------------------------------------- algorithms
// "cublasLtMatmulPreferenceAttributes_t": it leaves out what needs more workspace, another reduction or a stricter
// alignment than the preference allows.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int* returned) {
    if (!is_handle(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (requested <= 0 || !results || !returned || !is<Preference>(preference, kPreference))
        return CUBLAS_STATUS_INVALID_VALUE;
    *returned = 0;
    Operation o;
    if (const cublasStatus_t status = read(&o, desc, a, b, c, d); status != CUBLAS_STATUS_SUCCESS) return status;
    const Preference wish = held<Preference>(*preference);
    const uint32_t aligned = *std::min_element(std::begin(wish.alignment), std::end(wish.alignment));
    for (const Algorithm& algorithm : kAlgorithms) {
        const bool reduces = algorithm.reduction == kNoReduction || (wish.reductions & algorithm.reduction);
        if (options().products == Products::none || *returned == requested || !reduces || !suits(algorithm, o) ||
            o.workspace(algorithm) > wish.workspace || algorithm.alignment > aligned)
            continue;
        cublasLtMatmulHeuristicResult_t& result = results[(*returned)++];
        result = {{}, size_t(o.workspace(algorithm)), CUBLAS_STATUS_SUCCESS, 1, {}};
        hold(&result.algo, Algo{kAlgo, algorithm.id, o.kind()});
    }
    return *returned ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algo, cublasLtMatmulHeuristicResult_t* result) {
    if (!is_handle(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!result) return CUBLAS_STATUS_INVALID_VALUE;
    Operation o;
    if (const cublasStatus_t status = read(&o, desc, a, b, c, d); status != CUBLAS_STATUS_SUCCESS) return status;
    const Algorithm* algorithm = nullptr;
    result->state = read(&algorithm, algo, o);
    if (result->state == CUBLAS_STATUS_SUCCESS) result->workspaceSize = size_t(o.workspace(*algorithm));
    return result->state;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute, void* value,
                                                    size_t bytes, size_t* written) {
    constexpr size_t kBytes = sizeof(int32_t);  // of each that is here
    if (!is<Algo>(algo, kAlgo) || !value || bytes != kBytes) return CUBLAS_STATUS_INVALID_VALUE;
    const Algo is = held<Algo>(*algo);
    for (const Algorithm& algorithm : kAlgorithms) {
        if (algorithm.id != is.id) continue;
        const uint64_t x = attribute == CUBLASLT_ALGO_CONFIG_ID           ? algorithm.id
                           : attribute == CUBLASLT_ALGO_CONFIG_SPLITK_NUM ? uint64_t(algorithm.splits)
                                                                          : uint64_t(algorithm.reduction);
        const auto number = int32_t(x);
        std::memcpy(value, &number, kBytes);
        if (written) *written = kBytes;
        return CUBLAS_STATUS_SUCCESS;
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

// ---------------------------------------------------------------- products
cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo, void* workspace,
                              size_t workspace_bytes, cudaStream_t stream_handle) {
    if (!is_handle(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!alpha || !beta || !algo) return CUBLAS_STATUS_INVALID_VALUE;  // the library itself would choose without `algo`
    CublasLtMatmul m{};
    const Algorithm* algorithm = nullptr;
    cublasStatus_t status = read(&m.operation, desc, a_layout, b_layout, c_layout, d_layout);
    if (status == CUBLAS_STATUS_SUCCESS) status = read(&algorithm, algo, m.operation);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    m.algorithm = *algorithm;
    std::memcpy(&m.alpha, alpha, sizeof m.alpha);
    std::memcpy(&m.beta, beta, sizeof m.beta);
    m.a = a, m.b = b, m.c = c, m.d = d, m.workspace = workspace;
    status = judge(m, workspace_bytes);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    Device& device = Device::get();
    const auto lock = device.lock();
    if (!device.is_stream(stream_handle)) return CUBLAS_STATUS_INVALID_VALUE;
    if (options().products == Products::fail) return CUBLAS_STATUS_EXECUTION_FAILED;
    if (options().blocks == Blocks::all)
        device.queue(
            device.of(stream_handle), [m] { run(m); }, &typeid(CublasLtMatmul));
    return CUBLAS_STATUS_SUCCESS;
}
