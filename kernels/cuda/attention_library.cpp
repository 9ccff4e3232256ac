// Attention by cuDNN: which plans a stream has, and what they are called with.
#include <dlfcn.h>

#include <memory>
#include <vector>

#include "base/check.h"
#include "kernels/attention_work.h"
#include "kernels/attention_workspace.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/prim/host.h"

namespace sluice {
namespace {

constexpr uintptr_t kAligned = 16;  // bytes, of tensors' pointers and rows
constexpr int64_t kElements = 8;    // of bf16 in so many bytes

// A pass over all sequences and heads, and the plan that is called for each chunk of them.
struct Prepared {
    AttentionKey whole;
    AttentionChunk chunk;
    AttentionPlan plan;
};

// The library's objects of a stream.
struct AttentionLibrary {
    cudnnHandle_t handle = nullptr;  // null before the first plan
    std::vector<std::unique_ptr<Prepared>> all;

    ~AttentionLibrary() {
        all.clear();
        if (handle) cudnnDestroy(handle);
    }
    const Prepared* find(const AttentionKey& whole) const {
        for (const auto& prepared : all)
            if (prepared->whole == whole) return prepared.get();
        return nullptr;
    }
};
AttentionLibrary& library_of(Stream stream) { return *static_cast<AttentionLibrary*>(stream.attention); }

AttentionKey forward_key(const AttentionShape& n, const AttentionStrides& strides) {
    return {AttentionPass::forward, n, n.heads, {strides.q, strides.k, strides.v}};
}
AttentionKey backward_key(const AttentionShape& n, const AttentionStrides& strides) {
    return {AttentionPass::backward, n, n.heads, strides};
}
AttentionKey chunk_of(AttentionKey key, const AttentionChunk& chunk) {
    key.n.heads = chunk.kv_heads * (key.n.heads / key.n.kv_heads);
    key.n.sequences = chunk.sequences;
    key.n.kv_heads = chunk.kv_heads;
    return key;
}

bool are_aligned(const AttentionStrides& s) { return (s.q | s.k | s.v | s.dq | s.dk | s.dv) % kElements == 0; }
template <class... P>
bool are_aligned(const P*... pointers) {
    return ((reinterpret_cast<uintptr_t>(pointers) | ...) % kAligned) == 0;
}

// cuDNN compiles its engines by NVRTC, and names none where that is not on the system's paths. Once loaded it is found,
// and this library finds it where the other libraries of CUDA are. Returns what is wrong with it, or "".
std::string load_compiler() {
    if (kEmulated) return "";
    const std::string name = "libnvrtc.so." + std::to_string(CUDART_VERSION / 1000);
    return dlopen(name.c_str(), RTLD_LAZY | RTLD_GLOBAL) ? "" : "; it compiles by NVRTC: " + std::string(dlerror());
}

void open(AttentionLibrary& library, Stream stream) {
    if (library.handle) return;
    cudnn_done(cudnnCreate(&library.handle), "a handle");
    cudnn_done(cudnnSetStream(library.handle, handle_of(stream)), "a stream");
}

// Returns the engine.
int64_t plan(AttentionLibrary& library, const AttentionKey& whole, const AttentionChunk& chunk, size_t workspace) {
    if (const Prepared* known = library.find(whole)) return known->plan.engine();
    AttentionPlan made(chunk_of(whole, chunk), cudnn_device(library.handle), int64_t(workspace));
    library.all.push_back(std::make_unique<Prepared>(whole, chunk, std::move(made)));
    return library.all.back()->plan.engine();
}

[[noreturn]] void refuse(const AttentionKey& key, const CudnnError& error) {
    fail(Exit::other, "cuDNN: attention, " + to_text(key) + ": " + error.what());
}

// Where the library's workspace begins: the tensor that it lies in need not be so aligned.
void* aligned(std::byte* workspace) {
    const auto at = reinterpret_cast<uintptr_t>(workspace);
    return reinterpret_cast<void*>((at + kWorkspaceAligned - 1) / kWorkspaceAligned * kWorkspaceAligned);
}

}  // namespace

Op attention_op(const char* name, Stream stream, const AttentionShape& n, int products) {
    return Op(name, stream,
              {{"sequences", n.sequences},
               {"length", n.length},
               {"heads", n.heads},
               {"kv_heads", n.kv_heads},
               {"dim", n.dim},
               {"window", n.window}},
              attention_work(n, products));
}

std::string cudnn_version() {
    const size_t version = cudnnGetVersion();  // 91900: "9.19"
    return std::to_string(version / 10000) + "." + std::to_string(version % 10000 / 100);
}

void* new_attention() { return new AttentionLibrary; }
void close_attention(void* attention) { delete static_cast<AttentionLibrary*>(attention); }

std::string prepare_library_attention(Stream stream, const AttentionShape& n, const AttentionStrides& strides,
                                      size_t most) {
    if (const char* why = why_own_attention(n); *why) return std::string("own: ") + why;
    if (!are_aligned(strides)) return "own: rows are not aligned to 16 bytes";
    const bool trains = strides.dq > 0;
    const AttentionChunk chunk = attention_chunk(n, most);
    if (trains && chunk.sequences == 0) return "own: one head's workspace is too large";
    static const std::string without_compiler = load_compiler();
    AttentionLibrary& library = library_of(stream);
    try {
        open(library, stream);
        std::string text = "cuDNN " + cudnn_version();
        // Backward first: where it fails, forward is not made either, so that a layer has one attention.
        std::string backward;
        if (trains) {
            const int64_t engine = plan(library, backward_key(n, strides), chunk, chunk.bytes - kWorkspaceAligned);
            backward = ", " + std::to_string(engine) + " backward";
        }
        const AttentionChunk whole{n.sequences, n.kv_heads};
        const int64_t forward = plan(library, forward_key(n, strides), whole, stream.scratch_bytes);
        return text + " (engine " + std::to_string(forward) + " forward" + backward + ")";
    } catch (const CudnnError& error) {
        const std::string text = "cuDNN " + cudnn_version() +
                                 " has no plan for attention, and our own kernels make it, slower: " + error.what() +
                                 without_compiler;
        warn_once(text, text);
        return "own: cuDNN has no plan for it";
    }
}

bool library_attention_forward(Stream stream, bf16* out, float* lse, Rows<const bf16> q, Rows<const bf16> k,
                               Rows<const bf16> v, const AttentionShape& n) {
    if (!stream.attention || !are_aligned(out, lse, q.data, k.data, v.data)) return false;
    const AttentionLibrary& library = library_of(stream);
    const AttentionKey key = forward_key(n, {q.stride, k.stride, v.stride});
    const Prepared* prepared = library.find(key);
    if (!prepared) return false;
    const Op op = attention_op("attention_forward", stream, n, 2);
    try {
        prepared->plan.queue(library.handle, AttentionForwardTensors{q.data, k.data, v.data, out, lse}, n.scale,
                             stream.scratch);
    } catch (const CudnnError& error) { refuse(key, error); }
    op.queued("cudnnBackendExecute");
    return true;
}

bool library_attention_backward(Stream stream, Rows<bf16> dq, Rows<bf16> dk, Rows<bf16> dv, float* delta,
                                std::byte* workspace, const bf16* dout, const bf16* out, const float* lse,
                                Rows<const bf16> q, Rows<const bf16> k, Rows<const bf16> v, const AttentionShape& n) {
    if (!stream.attention || !workspace) return false;
    if (!are_aligned(dq.data, dk.data, dv.data, delta, dout, out, lse, q.data, k.data, v.data)) return false;
    const AttentionLibrary& library = library_of(stream);
    const AttentionKey key = backward_key(n, {q.stride, k.stride, v.stride, dq.stride, dk.stride, dv.stride});
    const Prepared* prepared = library.find(key);
    if (!prepared) return false;
    const Op op = attention_op("attention_backward", stream, n, 4);
    const AttentionChunk& chunk = prepared->chunk;
    const int64_t group = n.heads / n.kv_heads;
    for (int64_t s = 0; s < n.sequences; s += chunk.sequences)
        for (int64_t h = 0; h < n.kv_heads; h += chunk.kv_heads) {
            const int64_t row = s * n.length, dense = (row * n.heads + h * group) * n.dim;
            const int64_t sums = (s * n.heads + h * group) * n.length;
            const auto queries = [&](auto rows) { return rows.row(row) + h * group * n.dim; };
            const auto keys = [&](auto rows) { return rows.row(row) + h * n.dim; };
            const AttentionBackwardTensors x{queries(q),   keys(k),     keys(v),  out + dense, lse + sums,
                                             dout + dense, queries(dq), keys(dk), keys(dv),    delta + sums};
            try {
                prepared->plan.queue(library.handle, x, n.scale, aligned(workspace));
            } catch (const CudnnError& error) { refuse(key, error); }
        }
    op.queued("cudnnBackendExecute");
    return true;
}

}  // namespace sluice
