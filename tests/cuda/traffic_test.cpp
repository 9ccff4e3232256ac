// What the kernels that are bound by memory move, as the emulator counts it, at the sizes of models in a micro-batch of
// 8 sequences of 4096 tokens: at most 5 % more bytes than the least, which is each operand once, or twice where it is
// read and written; and at most 5 % more sectors of 32 bytes than these bytes fill.
//
// Counted is every access of a warp, and what several of its lanes read counts once. Nothing is taken off for caches:
// what blocks read again (the weight of a norm, partial sums over chunks of rows) counts each time, and is little only
// as a block walks down many rows. Only the first and the last block of a grid run, and stand for all.
#include "kernels/emu/traffic.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "cuda/memory_bound.h"

namespace sluice {
namespace {

using B = Cuda<bf16>;

constexpr int64_t kTokens = 8 * 4096, kWidth = 2048, kExperts = 128;
constexpr OpSizes real_sizes(int64_t heads, int64_t dim, int64_t experts, int64_t vocab) {
    const int64_t width = heads * dim;
    return {.rows = kTokens,
            .width = width,
            .heads = heads,
            .dim = dim,
            .tokens = kTokens,
            .stride = width,
            .dense = kTokens,
            .wide_rows = kTokens,
            .wide = width,
            .logits = 4096,
            .vocab = vocab,
            .routed = kTokens,
            .experts = experts,
            .top_k = 8,
            .per = 8};
}

struct Moved {
    double bytes = 0, sectors = 0, filled = 0;  // filled: sectors that the bytes of each access would fill
    int64_t conflicts = 0;
};
// By kernels whose names begin so.
Moved moved(const char* kernels = "") {
    Moved all;
    for (const auto& [kernel, t] : emu::traffic()) {
        if (!kernel.starts_with(kernels)) continue;
        const double blocks = double(t.blocks) / double(t.ran);
        all.bytes += blocks * double(t.loaded + t.stored);
        all.sectors += blocks * double(t.sectors);
        all.filled += blocks * double(t.least_sectors);
        all.conflicts += t.bank_conflicts;
    }
    return all;
}

emu::Options counting(emu::Blocks blocks) {
    emu::traffic().clear();
    emu::Options options = emu::options();
    options.blocks = blocks;
    options.traffic = true;
    options.checks = false;
    return options;
}

void hold(const std::string& name, const Moved& moved, double least) {
    SCOPED_TRACE(name);
    std::printf("%-34s %.3f of the least bytes, %.3f of the least sectors\n", name.c_str(), moved.bytes / least,
                moved.sectors / moved.filled);
    EXPECT_GE(moved.bytes, 0.999 * least) << "an operand is not counted";
    EXPECT_LE(moved.bytes, 1.05 * least);
    EXPECT_LE(moved.sectors, 1.05 * moved.filled);
}

template <class B>
void hold_all(const OpSizes& sizes) {
    for (const OpCall& call : memory_bound<B>(sizes)) {
        Tensors tensors(counting(emu::Blocks::edges));
        call.queue(tensors);
        tensors.wait();
        hold(std::string(call.name) + " " + call.how, moved(), double(tensors.least()));
        EXPECT_EQ(moved().conflicts, 0) << call.name;
    }
}

TEST(Traffic, IsTheLeastInFullSectors) { hold_all<B>(real_sizes(16, 128, kExperts, 151936)); }
TEST(Traffic, IsTheLeastAtAWideModel) { hold_all<B>(real_sizes(40, 128, 64, 128256)); }
TEST(Traffic, IsTheLeastAtASmallModel) { hold_all<B>(real_sizes(16, 64, 32, 50304)); }
TEST(Traffic, IsTheLeastInFloat) { hold_all<Cuda<float>>(real_sizes(16, 128, kExperts, 151936)); }

// What the backward of attention needs first.
TEST(Traffic, OfAttentionsDelta) {
    using T = B::T;
    using A = B::A;
    const AttentionShape n{8, 4096, 16, 8, 128, 1, 1};
    const int64_t N = kTokens, Q = kWidth, K = Q / 2;
    Tensors t(counting(emu::Blocks::edges));
    attention_backward<B>(t.stream(), t.out_rows<T>(N, Q, Q), t.out_rows<T>(N, K, K), t.out_rows<T>(N, K, K),
                          t.out<A>(N * n.heads), nullptr, t.in<T>(N * Q), t.in<T>(N * Q), t.in<A>(N * n.heads),
                          t.in_rows<T>(N, Q, Q), t.in_rows<T>(N, K, K), t.in_rows<T>(N, K, K), nullptr, n);
    t.wait();
    hold("attention_backward, delta", moved("AttentionDelta"), double(2 * N * Q * 2 + N * n.heads * 4));
}

// A counting sort reads the picks twice, and of each chunk of 256 picks it keeps a number for each expert, which
// becomes a position: written, read twice, written and read.
TEST(Traffic, OfTheSortByExpert) {
    const int64_t picks = kTokens, experts = kExperts;
    std::vector<int32_t> ids;
    std::vector<int64_t> counts(size_t(experts), 0);
    for (int64_t i = 0; i < picks; i++) {
        ids.push_back(int32_t(i * 7919 / 8 % experts));
        counts[size_t(ids.back())]++;
    }
    Tensors t(counting(emu::Blocks::all));
    sort_by_expert<B>(t.stream(), t.out<int32_t>(picks), t.values(ids), t.values(counts), picks, experts);
    t.wait();
    hold("sort_by_expert", moved(), double(4 * (3 * picks + 5 * picks / 256 * experts)));
}

}  // namespace
}  // namespace sluice
