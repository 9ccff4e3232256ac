// Softmax attention of CUDA by cuDNN, run by its stand-in: numbers, chunks, and what goes to our own kernels.
#include <cmath>

#include "base/check.h"
#include "cuda/case.h"
#include "kernels/attention_workspace.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/prim/op.h"
#include "kernels/emu/emu.h"

namespace sluice {
namespace {

// q, k and v are columns of one matrix, tensors of their own, or columns of three matrices of other widths.
enum class Layout { beside, own, mixed };
struct Attention {
    int64_t sequences, length, heads, kv_heads, dim, window;
    Layout layout = Layout::beside;
};
const Attention kCases[] = {{2, 128, 4, 2, 32, 0},
                            {1, 256, 2, 1, 64, 100},
                            {2, 128, 2, 2, 32, 128, Layout::own},
                            {1, 128, 3, 1, 96, 1, Layout::mixed},
                            {1, 128, 2, 1, 128, 0}};
std::string text(const Attention& n) {
    return std::to_string(n.sequences) + " x " + std::to_string(n.length) + ", heads " + std::to_string(n.heads) + "/" +
           std::to_string(n.kv_heads) + ", dim " + std::to_string(n.dim) + ", window " + std::to_string(n.window);
}
AttentionShape shape(const Attention& n) {
    return {n.sequences, n.length, n.heads, n.kv_heads, n.dim, n.window, 1 / std::sqrt(double(n.dim))};
}
#define BACKEND(c) typename std::remove_reference_t<decltype(c)>::Backend

template <class C>
struct Heads {
    using T = typename C::Backend::T;
    Rows<T> q, k, v;
};
template <class C>
Heads<C> heads(C& c, const std::string& name, const Attention& n) {
    const int64_t rows = n.sequences * n.length, q = n.heads * n.dim, k = n.kv_heads * n.dim;
    if (n.layout == Layout::mixed) {  // of gradients others than of what they are of
        const int64_t more = name.empty() ? 0 : 24;
        return {c.part(name + "q", rows, q + 8 + more, 8), c.part(name + "k", rows, k + 16 + more, 0),
                c.part(name + "v", rows, k + 24 + more, 16)};
    }
    if (n.layout == Layout::own)
        return {c.part(name + "q", rows, q, 0), c.part(name + "k", rows, k, 0), c.part(name + "v", rows, k, 0)};
    const int64_t width = q + 2 * k + 16;
    const std::string whole = name + "qkv";
    return {c.part(whole, rows, width, 8), c.part(whole, rows, width, 8 + q), c.part(whole, rows, width, 8 + q + k)};
}
template <class C>
void results(C& c, const Attention& n) {
    if (n.layout == Layout::beside) return c.result("dqkv");
    for (const char* part : {"dq", "dk", "dv"}) c.result(part);
}
template <class H>
AttentionStrides strides(const H& x) {
    return {x.q.stride, x.k.stride, x.v.stride};
}
template <class H>
AttentionStrides strides(const H& x, const H& dx) {
    return {x.q.stride, x.k.stride, x.v.stride, dx.q.stride, dx.k.stride, dx.v.stride};
}
// As a layer's scratch has it: aligned to 64 bytes, and to no more.
template <class C>
std::byte* workspace(C& c, size_t bytes) {
    const size_t numbers = (bytes + kAlignment) / sizeof(int64_t);
    return reinterpret_cast<std::byte*>(c.values("workspace", std::vector<int64_t>(numbers, 1))) + kAlignment;
}

// Counts the plans that run while it is there.
class Runs {
 public:
    int64_t count() const { return emu::plans_run() - before_; }

 private:
    int64_t before_ = emu::plans_run();
};
// hold() runs aligned and unaligned tensors, each in kOrders orders; only the former are the library's.
constexpr int kRuns = kOrders;

class LibraryAttention : public testing::Test {
 protected:
    LibraryAttention() { emu::options() = {}; }
    ~LibraryAttention() override { emu::options() = {}; }
};

TEST_F(LibraryAttention, Forward) {
    for (const Attention& n : kCases) {
        SCOPED_TRACE(text(n));
        const Runs runs;
        hold<bf16>([&](auto& c) {
            using B = BACKEND(c);
            const auto x = heads(c, "", n);
            const std::string by = prepare_attention<B>(c.stream(), shape(n), strides(x));
            EXPECT_EQ(by, (std::is_same_v<B, Cuda<bf16>> ? "cuDNN 9.19 (engine 2 forward)" : ""));
            const int64_t rows = n.sequences * n.length;
            attention_forward<B>(c.stream(), c.T("out", rows, n.heads * n.dim), c.A("lse", rows, n.heads), x.q, x.k,
                                 x.v, nullptr, shape(n));
            c.result("out");
            c.result("lse");
        });
        EXPECT_EQ(runs.count(), kRuns);
    }
}

// `out` and `lse` are any numbers, not those of forward: then nothing cancels, and every term of the formulas counts.
// most: of workspace, which says how many chunks there are.
void hold_backward(const Attention& n, size_t most, int64_t chunks) {
    SCOPED_TRACE(text(n));
    const Runs runs;
    hold<bf16>([&](auto& c) {
        using B = BACKEND(c);
        const auto x = heads(c, "", n), dx = heads(c, "d", n);
        if constexpr (std::is_same_v<B, Cuda<bf16>>) {
            EXPECT_EQ(prepare_library_attention(c.stream(), shape(n), strides(x, dx), most),
                      "cuDNN 9.19 (engine 2 forward, 6 backward)");
        }
        const int64_t rows = n.sequences * n.length, width = n.heads * n.dim;
        const size_t bytes = std::max<size_t>(64, attention_chunk(shape(n), most).bytes);
        attention_backward<B>(c.stream(), dx.q, dx.k, dx.v, c.A("delta", rows, n.heads), workspace(c, bytes),
                              c.T("dout", rows, width), c.T("out", rows, width), c.A("lse", rows, n.heads), x.q, x.k,
                              x.v, nullptr, shape(n));
        results(c, n);
        c.result("delta");
    });
    EXPECT_EQ(runs.count(), kRuns * chunks);
}

TEST_F(LibraryAttention, Backward) {
    for (const Attention& n : kCases) hold_backward(n, kAttentionWorkspace, 1);
}

// By sequences, or by key-value heads with their query heads.
TEST_F(LibraryAttention, BackwardInChunks) {
    Attention n{4, 128, 4, 2, 32, 40};
    const auto bytes = [&](int64_t sequences, int64_t kv_heads) {
        return attention_workspace_bound(sequences, 2 * kv_heads, n.length, n.dim) + kWorkspaceAligned;
    };
    hold_backward(n, bytes(3, 2), 2);
    hold_backward(n, bytes(1, 2), 4);
    hold_backward(n, bytes(1, 2) - 1, 8);
    n.layout = Layout::mixed;  // each chunk of a tensor begins where that one's stride says
    hold_backward(n, bytes(3, 2), 2);
    hold_backward(n, bytes(1, 2) - 1, 8);
}

// Backward with what forward left, where every score is near -100: the sums of rows are far below the least float.
TEST_F(LibraryAttention, SmallScores) {
    for (const int64_t length : {128, 192}) {
        const Attention n{1, length, 1, 1, 32, 0, Layout::own};
        SCOPED_TRACE(text(n));
        const Runs runs;
        hold<bf16>([&](auto& c) {
            using B = BACKEND(c);
            std::vector<double> q, k;
            for (int64_t i = 0; i < length * n.dim; i++) {
                q.push_back(i % n.dim == 0 ? 20 : 0.01 * double(i % 7));
                k.push_back(i % n.dim == 0 ? -28 : 0.5 * double(i % 5));
            }
            const Rows<const typename B::T> on_q{c.T_values("q", q), n.dim}, on_k{c.T_values("k", k), n.dim},
                v{c.T("v", length, n.dim), n.dim};
            const auto dx = heads(c, "d", n);
            const bool is_library = length % 128 == 0;
            const std::string by =
                prepare_attention<B>(c.stream(), shape(n), {n.dim, n.dim, n.dim, n.dim, n.dim, n.dim});
            const std::string want =
                is_library ? "cuDNN 9.19 (engine 2 forward, 6 backward)" : "own: length is no multiple of 128";
            EXPECT_EQ(by, (std::is_same_v<B, Cuda<bf16>> ? want : ""));
            auto* out = c.T("out", length, n.dim);
            auto* lse = c.A("lse", length, 1);
            attention_forward<B>(c.stream(), out, lse, on_q, on_k, v, nullptr, shape(n));
            attention_backward<B>(c.stream(), dx.q, dx.k, dx.v, c.A("delta", length, 1),
                                  workspace(c, std::max<size_t>(64, attention_chunk(shape(n)).bytes)),
                                  c.T("dout", length, n.dim), out, lse, on_q, on_k, v, nullptr, shape(n));
            for (const char* name : {"out", "lse", "dv"}) c.result(name);
            if constexpr (std::is_same_v<B, Cuda<bf16>>) {  // dq and dk are nearly 0: the difference of like numbers
                for (const bf16* gradient : {dx.q.data, dx.k.data}) {
                    std::vector<bf16> host(size_t(length * n.dim));
                    memory_of<B>().to_host(c.stream(), host.data(), gradient, host.size() * sizeof(bf16));
                    memory_of<B>().wait(c.stream());
                    for (const bf16 value : host) ASSERT_TRUE(std::isfinite(float(value)));
                }
            }
        });
        EXPECT_EQ(runs.count(), length % 128 == 0 ? 2 * kRuns : 0);
    }
}

// ---------------------------------------------------------------- what is ours
// Runs forward on a stream that is prepared for `planned`, and returns how many plans ran.
int64_t forward_runs(const Attention& planned, const Attention& n, bool documents = false, int64_t more = 0) {
    Case<Cuda<bf16>, bf16> c(0);
    const auto x = heads(c, "", Attention{2, 128, 2, 2, 32, 0});
    EXPECT_EQ(prepare_attention<Cuda<bf16>>(c.stream(), shape(planned), strides(x)), "cuDNN 9.19 (engine 2 forward)");
    const int64_t rows = n.sequences * n.length;
    const int32_t* starts = documents ? c.values("starts", std::vector<int32_t>(size_t(rows), 0)) : nullptr;
    const Runs runs;
    const auto of = [&](Rows<bf16> r) { return Rows<const bf16>{r.data, r.stride - more}; };
    attention_forward<Cuda<bf16>>(c.stream(), c.T("out", rows, n.heads * n.dim), c.A("lse", rows, n.heads), of(x.q),
                                  of(x.k), of(x.v), starts, shape(n));
    memory_of<Cuda<bf16>>().wait(c.stream());
    return runs.count();
}

TEST_F(LibraryAttention, IsAskedForWhatIsPlannedAlone) {
    const Attention n{2, 128, 2, 1, 32, 0};
    EXPECT_EQ(forward_runs(n, n), 1);
    EXPECT_EQ(forward_runs(n, n, true), 0);
    EXPECT_EQ(forward_runs(n, n, false, 8), 0);
    EXPECT_EQ(forward_runs(n, {1, 128, 2, 1, 32, 0}), 0);
    EXPECT_EQ(forward_runs(n, {2, 64, 2, 1, 32, 0}), 0);
    EXPECT_EQ(forward_runs(n, {2, 128, 1, 1, 32, 0}), 0);
    EXPECT_EQ(forward_runs(n, {2, 128, 2, 2, 32, 0}), 0);
    EXPECT_EQ(forward_runs(n, {2, 128, 2, 1, 32, 5}), 0);
}

// Each stride is one of a plan's own.
TEST_F(LibraryAttention, IsAskedForPlannedStridesAlone) {
    const Attention n{1, 128, 2, 1, 32, 0, Layout::mixed};
    Case<Cuda<bf16>, bf16> c(0);
    const auto x = heads(c, "", n), dx = heads(c, "d", n);
    prepare_attention<Cuda<bf16>>(c.stream(), shape(n), strides(x, dx));
    for (int changed = -1; changed < 6; changed++) {
        auto y = x, dy = dx;
        Rows<bf16>* const all[] = {&y.q, &y.k, &y.v, &dy.q, &dy.k, &dy.v};
        if (changed >= 0) all[changed]->stride -= 8;
        const Runs runs;
        attention_backward<Cuda<bf16>>(c.stream(), dy.q, dy.k, dy.v, c.A("delta", 128, 2),
                                       workspace(c, attention_workspace<Cuda<bf16>>(shape(n))), c.T("dout", 128, 64),
                                       c.T("out", 128, 64), c.A("lse", 128, 2), y.q, y.k, y.v, nullptr, shape(n));
        memory_of<Cuda<bf16>>().wait(c.stream());
        EXPECT_EQ(runs.count(), changed < 0 ? 1 : 0) << changed;
    }
}

TEST_F(LibraryAttention, SaysWhyItIsOurs) {
    const StreamOwner<Cuda<bf16>> stream;
    const auto by = [&](const AttentionShape& n, const AttentionStrides& strides) {
        return prepare_attention<Cuda<bf16>>(stream.get(), n, strides);
    };
    const AttentionStrides rows{128, 64, 64};
    EXPECT_EQ(by({2, 128, 2, 1, 64, 0, 1}, rows), "cuDNN 9.19 (engine 2 forward)");
    EXPECT_EQ(by({2, 100, 2, 1, 64, 0, 1}, rows), "own: length is no multiple of 128");
    EXPECT_EQ(by({2, 192, 2, 1, 64, 0, 1}, rows), "own: length is no multiple of 128");
    EXPECT_EQ(by({2, 0, 2, 1, 64, 0, 1}, rows), "own: length is no multiple of 128");
    for (const int64_t dim : {8, 16, 40, 48, 160, 256})
        EXPECT_EQ(by({2, 128, 2, 1, dim, 0, 1}, {dim * 2, dim, dim}), "own: head_dim is none of 32, 64, 96 and 128");
    for (int i = 0; i < 6; i++) {
        AttentionStrides odd{128, 64, 64, 128, 64, 64};
        (&odd.q)[i] += 4;
        EXPECT_EQ(by({2, 128, 2, 1, 64, 0, 1}, odd), "own: rows are not aligned to 16 bytes");
    }
    const int64_t length = 32768;  // 2 GiB of scores a head
    EXPECT_EQ(by({1, length, 2, 1, 64, 0, 1}, {128, 64, 64, 128, 64, 64}), "own: one head's workspace is too large");
    EXPECT_EQ(by({1, length, 2, 1, 64, 0, 1}, rows), "cuDNN 9.19 (engine 2 forward)");
    const StreamOwner<Cuda<float>> in_float;
    EXPECT_EQ(prepare_attention<Cuda<float>>(in_float.get(), {2, 128, 2, 1, 64, 0, 1}, rows), "own: fp32");
}

std::string told_while(emu::Attention attention, const AttentionShape& n) {
    emu::options().attention = attention;
    const StreamOwner<Cuda<bf16>> stream;
    testing::internal::CaptureStderr();
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(prepare_attention<Cuda<bf16>>(stream.get(), n, {128, 64, 64, 128, 64, 64}),
                  "own: cuDNN has no plan for it");
    return testing::internal::GetCapturedStderr();
}

// One warning, with what the library says.
TEST_F(LibraryAttention, WithoutAPlan) {
    const std::string begin = "warning: cuDNN 9.19 has no plan for attention, and our own kernels make it, slower: ";
    EXPECT_EQ(told_while(emu::Attention::none, {2, 128, 2, 1, 64, 0, 1}), begin + "it has no engine for it\n");
    EXPECT_EQ(told_while(emu::Attention::broken, {2, 128, 2, 1, 64, 0, 1}),
              begin +
                  "engine 7: a descriptor: CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE: "
                  "libcudnn_engines_runtime_compiled.so.9 is not there\n");
    const std::string greedy = told_while(emu::Attention::greedy, {2, 128, 2, 1, 64, 0, 1});
    EXPECT_EQ(greedy, begin + "engine 7 needs a workspace of 524800 bytes, and has " +
                          std::to_string(attention_workspace_bound(2, 2, 128, 64)) + "\n");
}

TEST_F(LibraryAttention, AFailureNamesTheShape) {
    const Attention n{2, 128, 2, 1, 32, 0};
    emu::options().attention = emu::Attention::fail;
    try {
        forward_runs(n, n);
        ADD_FAILURE() << "nothing failed";
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Exit::other);
        EXPECT_STREQ(failure.what(),
                     "cuDNN: attention, forward, 2 x 128, heads 2/1 of 2, dim 32, window 0, strides 208 208 208: a "
                     "plan: CUDNN_STATUS_EXECUTION_FAILED: it does not run");
    }
}

// A plan writes to no more than it says: what it is given must be there.
TEST_F(LibraryAttention, TheWorkspaceMustBeThere) {
    const Attention n{2, 128, 2, 1, 32, 0};
    Case<Cuda<bf16>, bf16> c(0);
    const auto x = heads(c, "", n), dx = heads(c, "d", n);
    prepare_attention<Cuda<bf16>>(c.stream(), shape(n), strides(x, dx));
    const int64_t rows = n.sequences * n.length, width = n.heads * n.dim;
    const auto backward = [&](std::byte* workspace) -> std::string {
        try {
            attention_backward<Cuda<bf16>>(c.stream(), dx.q, dx.k, dx.v, c.A("delta", rows, n.heads), workspace,
                                           c.T("dout", rows, width), c.T("out", rows, width), c.A("lse", rows, n.heads),
                                           x.q, x.k, x.v, nullptr, shape(n));
            memory_of<Cuda<bf16>>().wait(c.stream());
        } catch (const Failure& failure) { return failure.what(); }
        return "";
    };
    const Runs runs;
    EXPECT_EQ(backward(nullptr), "");
    EXPECT_EQ(runs.count(), 0);
    std::byte* const half = workspace(c, attention_workspace<Cuda<bf16>>(shape(n)) / 2);
    const std::string later = backward(half),
                      op = "attention_backward sequences 2 length 128 heads 2 kv_heads 1 dim 32";
    EXPECT_NE(later.find("its workspace ending"), std::string::npos) << later;
    EXPECT_NE(later.find("; queued last: " + op), std::string::npos) << later;
    synchronise_launches(true);
    const std::string at_once = backward(half);
    synchronise_launches(false);
    EXPECT_TRUE(at_once.starts_with(op + " window 0: cudnnBackendExecute: ")) << at_once;
}

// Calls allocate nothing on the device, and do not wait.
TEST_F(LibraryAttention, QueuesAlone) {
    const Attention n{2, 128, 2, 1, 32, 0};
    Case<Cuda<bf16>, bf16> c(0);
    const auto x = heads(c, "", n);
    prepare_attention<Cuda<bf16>>(c.stream(), shape(n), strides(x));
    bf16* out = c.T("out", 256, 64);
    float* lse = c.A("lse", 256, 2);
    memory_of<Cuda<bf16>>().wait(c.stream());
    const Runs runs;
    const int64_t before = emu::allocations();
    attention_forward<Cuda<bf16>>(c.stream(), out, lse, x.q, x.k, x.v, nullptr, shape(n));
    EXPECT_EQ(runs.count(), 0);
    EXPECT_EQ(emu::allocations(), before);
    memory_of<Cuda<bf16>>().wait(c.stream());
    EXPECT_EQ(runs.count(), 1);
}

// ---------------------------------------------------------------- chunks
TEST_F(LibraryAttention, ChunksFitTheirWorkspace) {
    const auto chunk = [](const AttentionShape& n) {
        const AttentionChunk c = attention_chunk(n);
        EXPECT_LE(c.bytes, kAttentionWorkspace);
        return std::pair(c.sequences, c.kv_heads);
    };
    using Pair = std::pair<int64_t, int64_t>;
    EXPECT_EQ(chunk({8, 4096, 16, 8, 128, 0, 1}), Pair(2, 8));
    EXPECT_EQ(chunk({7, 4096, 16, 8, 128, 0, 1}), Pair(1, 8));
    EXPECT_EQ(chunk({8, 2048, 32, 8, 128, 0, 1}), Pair(4, 8));
    EXPECT_EQ(chunk({2, 8192, 32, 8, 128, 0, 1}), Pair(1, 2));
    EXPECT_EQ(chunk({1, 16384, 16, 8, 128, 0, 1}), Pair(1, 1));
    EXPECT_EQ(chunk({1, 16384, 32, 8, 128, 0, 1}), Pair(0, 0));
    EXPECT_EQ(attention_workspace<Cpu<float>>({8, 4096, 16, 8, 128, 0, 1}), 0u);
    EXPECT_EQ(attention_workspace<Cuda<float>>({8, 4096, 16, 8, 128, 0, 1}), 0u);
    EXPECT_EQ(attention_workspace<Cuda<bf16>>({8, 4096, 16, 8, 80, 0, 1}), 0u);
    EXPECT_EQ(attention_workspace<Cuda<bf16>>({1, 16384, 32, 8, 128, 0, 1}), 0u);
    EXPECT_GT(attention_workspace<Cuda<bf16>>({1, 128, 1, 1, 64, 0, 1}), 0u);
    EXPECT_EQ(attention_workspace<PlannedBf16>({1, 128, 1, 1, 64, 0, 1}),
              attention_workspace<Cuda<bf16>>({1, 128, 1, 1, 64, 0, 1}));
}

}  // namespace
}  // namespace sluice
