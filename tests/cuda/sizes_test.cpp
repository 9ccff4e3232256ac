// Launches at the sizes of real models. Models of configs/models queue every kernel of a step, and of each the grid,
// the shared memory and the scratch memory are checked. Then every op runs the edges of its grids over tensors of more
// than 2^32 elements, of which it must read or write the first and the last: an offset that has 32 bits somewhere
// leads elsewhere.
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <memory>
#include <set>

#include "config/load.h"
#include "cuda/memory_bound.h"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/emu/sanitizers.h"
#include "optim/optimizer.h"
#include "optim/shards.h"
#include "support/matches.h"
#include "support/sanitizers.h"

namespace sluice {
namespace {

constexpr int64_t kLong = 131072;  // tokens of a long sequence
constexpr int64_t kMostIndex = std::numeric_limits<int32_t>::max();

class CudaSizes : public testing::Test {
 protected:
    void SetUp() override {
        if (emu::kTsan) GTEST_SKIP() << "the thread sanitizer leaves too little room";
    }
};
template <class B>
class CudaSizesOf : public CudaSizes {};
using Backends = testing::Types<Cuda<bf16>, Cuda<float>>;
TYPED_TEST_SUITE(CudaSizesOf, Backends);

// Of the library's products no blocks can be run: with `edges` all products are our own.
emu::Options options_of(emu::Blocks blocks) {
    emu::Options options = emu::options();
    options.blocks = blocks;
    if (blocks == emu::Blocks::edges) options.products = emu::Products::none;
    return options;
}

// ---------------------------------------------------------------- real models
// Two layers of the model take a step, of which nothing runs.
template <class B>
void queue_step(const char* model, Batch batch, std::vector<std::string> keys, emu::Products products) {
    SCOPED_TRACE(testing::Message() << model << ", " << batch.sequences << " x " << batch.length << ", "
                                    << (keys.empty() ? "" : keys[0]));
    keys.insert(keys.end(), {"data.train=[{path: none}]", "model.layers=2"});
    const std::string file = std::string(SLUICE_SOURCE_DIR "/configs/models/") + model + ".yaml";
    const Config config = load_config(file, keys, Purpose::plan).config;
    emu::Options options = options_of(emu::Blocks::none);
    options.checks = false;  // of the host's copies, which take time
    options.products = products;
    const Tensors room(options);
    Mesh& mesh = solo_mesh(memory_of<B>());
    Model<B> on_device(config.model, batch, Recompute::none, Mode::training, mesh);
    const OptimizerShards shards(on_device.tensors(), mesh, false, config.optimizer);
    Optimizer<B> optimizer(config.optimizer, on_device, mesh, shards, nullptr);
    const std::vector<int32_t> zeros(size_t(batch.tokens()));
    on_device.forward_backward(batch, zeros.data(), zeros.data(), zeros.data(), 1);
    optimizer.update(1e-3, 1, 1);
    optimizer.round_weights();
    on_device.totals();
}

TYPED_TEST(CudaSizesOf, EveryLaunchOfARealModel) {
    for (const char* model : {"dense_1p7b_28", "dense_1p7b_48", "moe_15a2b"}) {
        const auto step = [&](Batch batch, const std::vector<std::string>& keys) {
            for (const auto products : {emu::Products::all, emu::Products::none})
                queue_step<TypeParam>(model, batch, keys, products);
        };
        step({64, 4096}, {});
        step({8, kLong}, {});
        step({64, 4096}, {"model.gates=[{position: query}, {position: key, bias: true}, {position: value, granularity: "
                          "headwise}, {position: sdpa, heads: averaged}, {position: output, input: none}]"});
        step({64, 4096}, {"model.attention={kind: rela, rela_gate: true}", "model.qk_norm=false"});
        step({64, 4096}, {"model.switch_heads={target: kv, experts: 4, top_k: 2}", "model.sandwich_norm=true",
                          "model.residual_clip=1.5", "optimizer.kind=muon"});
    }
}

// ---------------------------------------------------------------- more than 2^32 elements
// Sizes are multiples of what blocks take in turn, so that the last row is the last block's. Where blocks walk down
// many rows, these are few and far apart, or wide; where they can be neither, there are only more than 2^31 elements.
constexpr OpSizes kFar{.rows = (1 << 21) + 1024,
                       .width = 2048,
                       .heads = 16,
                       .dim = 128,
                       .tokens = 4099,
                       .stride = 1 << 20,
                       .dense = (1 << 20) + 1024,
                       .wide_rows = 2050,
                       .wide = 1 << 21,
                       .logits = (1 << 15) + 3,
                       .vocab = 151936,
                       .routed = (1 << 22) + 8192,
                       .experts = 512,
                       .top_k = 1,
                       .per = 8};
constexpr int64_t kFarthest = int64_t{1} << 32;
static_assert(kFar.rows * kFar.width > kFarthest && (kFar.tokens - 1) * kFar.stride > kFarthest);
static_assert(kFar.wide_rows * kFar.wide > kFarthest && kFar.logits * kFar.vocab > kFarthest);
static_assert(kFar.dense * kFar.width > kFarthest / 2 && kFar.routed * kFar.experts > kFarthest / 2);

template <class B>
std::vector<OpCall> products() {
    using T = typename B::T;
    using A = typename B::A;
    using G = typename B::G;
    // Many rows; a matrix (big, small) with 2^16 - 1 tiles along a side; experts, each with one row more than tiles
    // have, so that no block is without work.
    const int64_t R = kFar.rows, W = kFar.width, big = (1 << 22) - 64, small = 1040, E = 32, P = E * 65537, few = 3;
    const int64_t matrix = big * small;
    check(matrix > kFarthest, "a matrix that is too small");
    std::vector<int64_t> even, uneven(513, R - few);  // the first and the last of 512 experts have few rows
    for (int64_t e = 0; e <= E; e++) even.push_back(e * 65537);
    uneven[0] = 0, uneven[1] = few, uneven[512] = R;
    return {
        SLUICE_CALL(linear_forward, t.out<T>(R * W), t.in<T>(R * W), t.in<T>(W * W), R, W, W),
        SLUICE_CALL(linear_forward, t.out<A>(few * big), t.in<T>(few * small), t.in<T>(matrix), few, small, big),
        SLUICE_CALL(linear_backward_input, t.out<T>(R * W), t.in<T>(R * W), t.in<T>(W * W), R, W, W, Into::overwrite),
        SLUICE_CALL(linear_backward_input, t.both<T>(few * big), t.in<T>(few * small), t.in<T>(matrix), few, big, small,
                    Into::add),
        SLUICE_CALL(linear_backward_weight, t.both<G>(matrix), t.in<T>(few * small), t.in<T>(few * big), few, big,
                    small),
        SLUICE_CALL(linear_backward_weight, t.both<G>(big * 8), t.in<T>(small * 8), t.in<T>(matrix), small, big, 8),
        SLUICE_CALL(linear_backward_weight, t.both<G>(8 * big), t.in<T>(matrix), t.in<T>(small * 8), small, 8, big),
        SLUICE_CALL(grouped_linear_forward, t.out<T>(P * W), t.in<T>(P * W), t.in<T>(E * W * W),
                    GroupedShape{t.values(even), P, E, W, W}),
        SLUICE_CALL(grouped_linear_backward_input, t.both<T>(P * W), t.in<T>(P * W), t.in<T>(E * W * W),
                    GroupedShape{t.values(even), P, E, W, W}, Into::add),
        SLUICE_CALL(grouped_linear_backward_weight, t.both<G>(512 * 6 * W * W), t.in<T>(R * 3 * W), t.in<T>(R * 2 * W),
                    GroupedShape{t.values(uneven), R, 512, 2 * W, 3 * W}),
    };
}

template <class B>
std::vector<OpCall> attention() {
    using T = typename B::T;
    using A = typename B::A;
    // A short window, as blocks walk over what their tokens see. Queries, keys and values are columns of one product.
    const AttentionShape n{16, kLong, 32, 4, 128, 64, 0.1};
    const int64_t N = n.sequences * n.length, Q = n.heads * n.dim, K = n.kv_heads * n.dim, P = Q + 2 * K;
    constexpr int64_t kMapped = 256;
    return {
        SLUICE_CALL(attention_forward, t.out<T>(N * Q), t.out<A>(N * n.heads), t.in_rows<T>(N, Q, P),
                    t.in_rows<T>(N, K, P), t.in_rows<T>(N, K, P), t.in<int32_t>(N), n),
        SLUICE_CALL(attention_backward, t.out_rows<T>(N, Q, P), t.out_rows<T>(N, K, P), t.out_rows<T>(N, K, P),
                    t.both<A>(N * n.heads), nullptr, t.in<T>(N * Q), t.in<T>(N * Q), t.in<A>(N * n.heads),
                    t.in_rows<T>(N, Q, P), t.in_rows<T>(N, K, P), t.in_rows<T>(N, K, P), t.in<int32_t>(N), n),
        SLUICE_CALL(attention_mean_keys, t.out<T>(N * Q), t.out<A>(N * n.heads), t.in_rows<T>(N, Q, P),
                    t.in_rows<T>(N, K, P), t.in<int32_t>(N), n),
        SLUICE_CALL(attention_map, t.out<A>(kMapped * kMapped), t.in<A>((n.heads - 1) * n.length + kMapped),
                    t.in_rows<T>(kMapped, Q, P), t.in_rows<T>(kMapped, K, P), t.in<int32_t>(kMapped), kMapped, n),
        SLUICE_CALL(relu_attention_forward, t.out<T>(N * Q), t.in_rows<T>(N, Q, P), t.in_rows<T>(N, K, P),
                    t.in_rows<T>(N, K, P), t.in<int32_t>(N), n),
        SLUICE_CALL(relu_attention_backward, t.out_rows<T>(N, Q, P), t.out_rows<T>(N, K, P), t.out_rows<T>(N, K, P),
                    t.in<T>(N * Q), t.in_rows<T>(N, Q, P), t.in_rows<T>(N, K, P), t.in_rows<T>(N, K, P),
                    t.in<int32_t>(N), n),
    };
}

// Of one number an expert, and of what ranks send each other.
template <class B>
std::vector<OpCall> counts() {
    using A = typename B::A;
    const int64_t E = 512, ranks = 8;
    std::vector<int64_t> sent(size_t(ranks * E));
    sent.front() = sent.back() = 3, sent[size_t(E)] = kMostIndex - 6;
    return {
        SLUICE_CALL(add_counts, t.both<int64_t>(E), t.in<int64_t>(E), E),
        SLUICE_CALL(expert_load, t.out<A>(E), t.in<int64_t>(E), E),
        SLUICE_CALL(move_router_bias, t.both<A>(E), t.ends_in<int64_t>(E, kMostIndex), E, 1),
        SLUICE_CALL(expert_offsets, t.out<int64_t>(E + 1), t.in<int64_t>(ranks * E), ranks, E),
        SLUICE_CALL(expert_arrivals, t.out<int32_t>(kMostIndex), t.values(sent), ranks, E),
    };
}

// Ops that are queued and not run. A place in the sorted order needs what all blocks count; products of Muon are those
// of linear maps, and no matrix of a model has 2^31 elements.
template <class B>
std::vector<OpCall> of_all_blocks() {
    using T = typename B::T;
    const int64_t N = kMostIndex, E = 512, rows = 2 * 6144, columns = 2048;
    return {
        SLUICE_CALL(sort_by_expert, t.out<int32_t>(N), t.in<int32_t>(N), t.in<int64_t>(E), N, E),
        SLUICE_CALL(orthogonalize, t.both<T>(rows * columns), rows, columns,
                    t.both<T>(orthogonalize_scratch(rows, columns))),
    };
}

template <class B>
std::vector<OpCall> at_edges() {
    std::vector<OpCall> all;
    for (const auto& calls : {memory_bound<B>(kFar), products<B>(), attention<B>(), counts<B>()})
        all.insert(all.end(), calls.begin(), calls.end());
    return all;
}

TYPED_TEST(CudaSizesOf, OffsetsOfMoreThan32Bits) {
    using B = TypeParam;
    for (const OpCall& call : at_edges<B>()) {
        if (call.slow && (kSanitized || !std::is_same_v<B, Cuda<bf16>>)) continue;  // offsets are alike in all types
        SCOPED_TRACE(call.name);
        Tensors tensors(options_of(emu::Blocks::edges));
        call.queue(tensors);
        tensors.wait();
        EXPECT_EQ(tensors.untouched(), "");
    }
    Tensors tensors(options_of(emu::Blocks::none));
    for (const OpCall& call : of_all_blocks<B>()) call.queue(tensors);
}

TEST_F(CudaSizes, AreOfEveryOp) {
    std::set<std::string> declared, called;
    for (const char* header : {"ops.h", "probes.h"}) {
        std::ifstream file(std::string(SLUICE_SOURCE_DIR "/kernels/") + header);
        for (std::string line; std::getline(file, line);)
            if (const auto match = find_match(line, "^void ([a-z_]+)\\(Stream"); !match.empty())
                declared.insert(match[1]);
    }
    for (const auto& calls : {at_edges<Cuda<bf16>>(), of_all_blocks<Cuda<bf16>>()})
        for (const OpCall& call : calls) called.insert(call.name);
    EXPECT_EQ(called, declared);
}

// ---------------------------------------------------------------- what is found
// Copies the first element of rows of 2^20, a block each, with offsets of type Offset.
template <class Offset>
struct CopyFirst {
    static constexpr int kThreads = 32;
    Global<float> to;
    Global<const float> from;
    DEVICE void operator()() const {
        const Offset at = Offset(block_x() * (1 << 20));
        if (thread() == 0) to[at] = float(from[at]);
    }
};
// What is said of it.
template <class Offset>
std::string copied(int64_t rows) {
    const int64_t count = (rows - 1) * (1 << 20) + 1;
    Tensors t(options_of(emu::Blocks::edges));
    const Op op("copy", t.stream(), {{"rows", rows}});
    op.launch(CopyFirst<Offset>{t.out<float>(count), t.in<float>(count)}, {.grid = {rows}});
    try {
        t.wait();
    } catch (const Failure& failure) { return failure.what(); }
    return t.untouched();
}
TEST_F(CudaSizes, OffsetsOf32BitsAreFound) {
    EXPECT_EQ(copied<int64_t>(4098), "");
    const std::string wraps = copied<uint32_t>(4098), negative = copied<int32_t>(2049);
    EXPECT_TRUE(matches(wraps, "nothing reads the last bytes")) << wraps;
    EXPECT_TRUE(matches(negative, "out of bounds")) << negative;
}

// Heads and sequences lie along y and z of the grid.
// A grid has 65535 blocks along z, so the last sequence is another launch's.
TEST_F(CudaSizes, MoreSequencesThanAGridHas) {
    using B = Cuda<float>;
    const AttentionShape n{65537, 2, 1, 1, 8, 0, 1};
    const int64_t rows = n.sequences * n.length, row = 8;
    Memory& memory = memory_of<B>();
    const StreamOwner<B> stream;
    std::vector<float> host(size_t(rows * row));
    for (size_t i = 0; i < host.size(); i++) host[i] = float(i % 7) - 3;
    const auto on_device = [&](int64_t count) {
        const std::shared_ptr<void> owner(memory.allocate(size_t(count) * sizeof(float)),
                                          [&](void* p) { memory.free(p); });
        return std::static_pointer_cast<float>(owner);
    };
    const auto x = on_device(rows * row), out = on_device(rows * row), dx = on_device(3 * rows * row);
    memory.to_device(stream.get(), x.get(), host.data(), host.size() * sizeof(float));
    const Rows<const float> in{x.get(), row};
    memory.wait(stream.get());
    emu::options().blocks = emu::Blocks::edges;
    relu_attention_forward<B>(stream.get(), out.get(), in, in, in, nullptr, n);
    const auto gradient = [&](int64_t i) { return Rows<float>{dx.get() + i * rows * row, row}; };
    relu_attention_backward<B>(stream.get(), gradient(0), gradient(1), gradient(2), x.get(), in, in, in, nullptr, n);
    memory.wait(stream.get());
    emu::options().blocks = emu::Blocks::all;
    // The first token of a sequence sees itself alone.
    const auto last = [&](const float* from) {
        std::vector<float> values(size_t(2 * row));
        memory.to_host(stream.get(), values.data(), from + (rows - 2) * row, values.size() * sizeof(float));
        memory.wait(stream.get());
        return values;
    };
    const std::vector<float> forward = last(out.get()), dv = last(dx.get() + 2 * rows * row);
    const float* q = host.data() + (rows - 2) * row;
    double squares = 0, cross = 0;
    for (int64_t i = 0; i < row; i++) squares += double(q[i]) * q[i], cross += double(q[i]) * q[row + i];
    const double seen = std::max(0.0, cross);
    for (int64_t i = 0; i < row; i++) {
        EXPECT_NEAR(forward[size_t(i)], squares * q[i], 1e-3) << i;
        EXPECT_NEAR(dv[size_t(i)], squares * q[i] + seen * q[row + i], 1e-3) << i;
    }
}

}  // namespace
}  // namespace sluice
