// What the kernels that are bound by memory move, as the emulator counts it, in bf16 at the widths of real models: at
// most 5 % more bytes than the least, which is each operand once, and at most 6 % more sectors of 32 bytes than these
// bytes fill. The weight of a norm counts once a row: each block reads it anew, on a GPU from a cache.
#include "kernels/emu/traffic.h"

#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "cuda/case.h"

namespace sluice {
namespace {

using B = Cuda<bf16>;
using Tested = Case<B, bf16>;

constexpr int64_t kRows = 128, kWidth = 2048, kHeads = 16, kDim = 128, kVocab = 32000;
constexpr double kItem = 2, kSum = 4;  // bytes of a T, of an A or G
constexpr double kRow = kItem * kWidth, kTensor = kRow * kRows;

// Bytes: of all operands together.
struct OpRow {
    const char* name;
    double bytes;
    std::function<void(Tested&)> run;
};

bf16* x(Tested& c) { return c.T("x", kRows, kWidth); }
bf16* y(Tested& c) { return c.T("y", kRows, kWidth); }
bf16* z(Tested& c) { return c.T("z", kRows, kWidth); }
bf16* w(Tested& c) { return c.T("w", 1, kWidth); }
float* rstd(Tested& c) { return c.A("rstd", kRows, kHeads); }
Rows<bf16> rows(bf16* data) { return {data, kWidth}; }
RopeShape heads() { return {1, kRows, kHeads, kDim}; }
constexpr double kAngles = 2 * kSum * kRows * kDim / 2;

// Of scores of a width: elementwise kWidth, headwise kHeads.
GateShape gate(int64_t scores) { return {kRows, kHeads, kDim, {scores, scores / kHeads, scores == kWidth ? 1 : 0}}; }
const int32_t* ids(Tested& c, int64_t count, int64_t below) {
    std::vector<int32_t> v(size_t(count), 0);
    for (size_t i = 0; i < v.size(); i++) v[i] = int32_t(int64_t(i) * 7919 % below);
    return c.values("ids", v);
}
const int32_t* order(Tested& c, int64_t count) {
    std::vector<int32_t> v(size_t(count), 0);
    std::iota(v.begin(), v.end(), 0);
    return c.values("order", v);
}

const OpRow kOps[] = {
    {"rmsnorm_forward", 3 * kTensor + kSum* kRows,
     [](Tested& c) { rmsnorm_forward<B>(c.stream(), y(c), rstd(c), x(c), w(c), kRows, kWidth, 1e-6); }},
    {"residual_rmsnorm_forward", 5 * kTensor + kSum* kRows,
     [](Tested& c) {
         residual_rmsnorm_forward<B>(c.stream(), x(c), z(c), rstd(c), x(c), y(c), w(c), kRows, kWidth, 1e-6, 0);
     }},
    {"rmsnorm_rope_forward", 2 * kTensor + kSum* kRows* kHeads + kAngles,
     [](Tested& c) {
         rmsnorm_rope_forward<B>(c.stream(), y(c), rstd(c), rows(x(c)), c.T("v", 1, kDim), c.A("cos", kRows, kDim / 2),
                                 c.A("sin", kRows, kDim / 2), heads(), 1e-6);
     }},
    {"rope", 2 * kTensor + kAngles,
     [](Tested& c) {
         rope<B>(c.stream(), rows(x(c)), c.A("cos", kRows, kDim / 2), c.A("sin", kRows, kDim / 2), heads(), 1);
     }},
    {"swiglu_forward", 3 * kTensor,
     [](Tested& c) { swiglu_forward<B>(c.stream(), y(c), c.T("gu", kRows, 2 * kWidth), kRows, kWidth); }},
    {"swiglu_backward", 5 * kTensor,
     [](Tested& c) {
         bf16* both = c.T("gu", kRows, 2 * kWidth);
         swiglu_backward<B>(c.stream(), both, x(c), both, kRows, kWidth);
     }},
    {"weighted_swiglu_forward", 3 * kTensor + kSum* kRows,
     [](Tested& c) {
         weighted_swiglu_forward<B>(c.stream(), z(c), x(c), y(c), c.A("weight", 1, kRows), kRows, kWidth);
     }},
    {"gate_forward, elementwise", 3 * kTensor,
     [](Tested& c) {
         gate_forward<B>(c.stream(), z(c), rows(x(c)), y(c), gate(kWidth), Activation::sigmoid, Combine::multiply);
     }},
    {"gate_forward, headwise", 2 * kTensor + kItem* kRows* kHeads,
     [](Tested& c) {
         gate_forward<B>(c.stream(), z(c), rows(x(c)), c.T("s", kRows, kHeads), gate(kHeads), Activation::sigmoid,
                         Combine::multiply);
     }},
    {"gate_backward, elementwise", 5 * kTensor,
     [](Tested& c) {
         gate_backward<B>(c.stream(), rows(x(c)), z(c), rows(x(c)), rows(y(c)), z(c), gate(kWidth), Activation::sigmoid,
                          Combine::multiply, Into::overwrite);
     }},
    {"gate_backward, headwise", 3 * kTensor + 2 * kItem* kRows* kHeads,
     [](Tested& c) {
         bf16* s = c.T("s", kRows, kHeads);
         gate_backward<B>(c.stream(), rows(x(c)), s, rows(x(c)), rows(y(c)), s, gate(kHeads), Activation::sigmoid,
                          Combine::multiply, Into::overwrite);
     }},
    {"head_mean_forward", kTensor + kItem* kRows* kDim,
     [](Tested& c) {
         head_mean_forward<B>(c.stream(), c.T("mean", kRows, kDim), rows(x(c)), kRows, kHeads, kDim, kHeads);
     }},
    {"embedding_forward", 2 * kTensor + 4 * kRows,
     [](Tested& c) {
         embedding_forward<B>(c.stream(), x(c), ids(c, kRows, 500), c.T("table", 500, kWidth), kRows, kWidth, 0, 500);
     }},
    {"cross_entropy_stats", kItem* kRows* kVocab + 3 * kSum* kRows + 4 * kRows,
     [](Tested& c) {
         bf16* logits = c.T("logits", kRows, kVocab);
         cross_entropy_stats<B>(c.stream(), c.A("stats", kRows, 3), logits, logits, ids(c, kRows, kVocab), kRows, 0,
                                kVocab);
     }},
    {"cross_entropy_backward", 2 * kItem* kRows* kVocab,
     [](Tested& c) {
         cross_entropy_backward<B>(c.stream(), c.T("logits", kRows, kVocab), c.A("stats", kRows, 3),
                                   c.A("lse", 1, kRows), ids(c, kRows, kVocab), kRows, 0, kVocab, 1);
     }},
    {"gather_rows", 2 * kTensor + 4 * kRows,
     [](Tested& c) { gather_rows<B>(c.stream(), y(c), x(c), order(c, kRows), kRows, kWidth); }},
    {"scatter_rows", 2 * kTensor + 4 * kRows,
     [](Tested& c) { scatter_rows<B>(c.stream(), y(c), x(c), order(c, kRows), kRows, 1, kWidth); }},
    {"residual_forward", 3 * kTensor,
     [](Tested& c) { residual_forward<B>(c.stream(), z(c), x(c), y(c), kRows * kWidth, 1); }},
    {"add", 3 * kTensor, [](Tested& c) { add<B>(c.stream(), x(c), y(c), kRows * kWidth); }},
    {"round_weights", (kItem + kSum) * kRows* kWidth,
     [](Tested& c) { round_weights<B>(c.stream(), x(c), c.A("master", kRows, kWidth), kRows * kWidth); }},
};

class Traffic : public testing::TestWithParam<OpRow> {
 protected:
    void SetUp() override {
        before_ = emu::options();
        emu::options().traffic = true;
        emu::options().checks = false;
        emu::traffic().clear();
    }
    void TearDown() override { emu::options() = before_; }

 private:
    emu::Options before_;
};
INSTANTIATE_TEST_SUITE_P(Ops, Traffic, testing::ValuesIn(kOps), [](const auto& row) {
    std::string name = row.param.name;
    std::erase_if(name, [](char c) { return c == ',' || c == ' '; });
    return name;
});

TEST_P(Traffic, IsTheLeastInFullSectors) {
    Tested c(0);
    GetParam().run(c);
    memory_of<B>().wait(c.stream());
    double bytes = 0, sectors = 0, least = 0;
    int64_t conflicts = 0;
    for (const auto& [kernel, t] : emu::traffic()) {
        bytes += double(t.loaded + t.stored);
        sectors += double(t.sectors);
        least += double(t.least_sectors);
        conflicts += t.bank_conflicts;
    }
    EXPECT_GE(bytes, 0.999 * GetParam().bytes) << "an operand is not counted";
    EXPECT_LE(bytes, 1.05 * GetParam().bytes);
    EXPECT_LE(sectors, 1.06 * least);
    EXPECT_EQ(conflicts, 0);
    std::printf("%-28s %.3f of the least bytes, %.3f of the least sectors\n", GetParam().name, bytes / GetParam().bytes,
                sectors / least);
}

}  // namespace
}  // namespace sluice
