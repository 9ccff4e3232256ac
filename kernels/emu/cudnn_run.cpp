// Runs graphs of cuDNN's stand-in on the host: operation by operation, in float, each result rounded to its type.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "base/bf16.h"
#include "base/check.h"
#include "kernels/emu/cudnn_held.h"
#include "kernels/emu/device_memory.h"
#include "kernels/emu/emu.h"
#include "kernels/emu/queue.h"
#include "kernels/emu/touch.h"

namespace sluice::emu::cudnn {
namespace {

// A tensor's numbers, dense in the order of its axes.
using Numbers = std::vector<float>;

Extents dense(const Extents& e) { return {e[1] * e[2] * e[3], e[2] * e[3], e[3], 1}; }

// f(element of a dense tensor, indices) of all elements, in order.
template <class F>
void each(const Extents& e, F f) {
    Extents i{};
    size_t at = 0;
    for (i[0] = 0; i[0] < e[0]; i[0]++)
        for (i[1] = 0; i[1] < e[1]; i[1]++)
            for (i[2] = 0; i[2] < e[2]; i[2]++)
                for (i[3] = 0; i[3] < e[3]; i[3]++) f(at++, i);
}
int64_t offset(const Extents& i, const Extents& strides) {
    return i[0] * strides[0] + i[1] * strides[1] + i[2] * strides[2] + i[3] * strides[3];
}
// Strides of a dense x that is read for each element of y: 0 along axes that are broadcast.
Extents broadcast(const Extents& x) {
    Extents strides = dense(x);
    for (size_t a = 0; a < kAxes; a++)
        if (x[a] == 1) strides[a] = 0;
    return strides;
}

// A read or write of a tensor's elements, but not of what lies between its rows.
void touch_tensor(const TensorView& tensor, const void* p, bool writes) {
    size_t row = 3;  // the axis whose elements stand side by side
    for (size_t a = 0; a < kAxes; a++)
        if (tensor.strides[a] == 1 && tensor.extents[a] > tensor.extents[row]) row = a;
    const std::string who = "cudnnBackendExecute: tensor " + std::to_string(tensor.number);
    Extents last, outer = tensor.extents;
    for (size_t a = 0; a < kAxes; a++) last[a] = tensor.extents[a] - 1;
    const size_t bytes = size_t(offset(last, tensor.strides) + 1) * tensor.item();
    const DeviceMemory& memory = DeviceMemory::get();
    const Allocation* allocation = memory.find(p);
    if (!allocation || !allocation->contains(p, bytes)) fail(Exit::other, who + " " + memory.describe(p, bytes));
    outer[row] = 1;
    const std::string does = who + ":";
    each(outer, [&](size_t, const Extents& i) {
        touch(does.c_str(), static_cast<const char*>(p) + size_t(offset(i, tensor.strides)) * tensor.item(),
              size_t(tensor.extents[row]) * tensor.item(), writes);
    });
}

class Interpreter {
 public:
    explicit Interpreter(const Bound& bound) : bound_(bound) {}

    void run() {
        if (bound_.workspace_bytes > 0) touch_workspace();
        for (const Shared& held : bound_.graph->values.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).descriptors) {
            const Operation o(*held);
            const TensorView y(*o.y);
            Numbers numbers = make(o, y);
            if (y.type == CUDNN_DATA_BFLOAT16)
                for (float& x : numbers) x = float(bf16(x));
            if (!y.is_virtual) store(y, numbers);
            made_[o.y] = std::move(numbers);
        }
    }

 private:
    void touch_workspace() const {
        const DeviceMemory& memory = DeviceMemory::get();
        const Allocation* allocation = memory.find(bound_.workspace);
        const auto bytes = size_t(bound_.workspace_bytes);
        if (!allocation || !allocation->contains(bound_.workspace, bytes))
            fail(Exit::other, "cudnnBackendExecute: its workspace " + memory.describe(bound_.workspace, bytes));
        touch("cudnnBackendExecute: its workspace:", bound_.workspace, bytes, true);
        std::memset(bound_.workspace, 0xff, bytes);  // what lay there is gone
    }

    const Numbers& numbers(const Held* held) {
        const auto [it, is_new] = made_.try_emplace(held);
        if (!is_new) return it->second;
        const TensorView tensor(*held);
        if (tensor.by_value) return it->second = {bound_.scalars.at(tensor.number)};
        const void* p = bound_.pointers.at(tensor.number);
        touch_tensor(tensor, p, false);
        it->second.resize(size_t(elements(tensor.extents)));
        each(tensor.extents, [&](size_t at, const Extents& i) {
            const auto from = size_t(offset(i, tensor.strides));
            it->second[at] = tensor.type == CUDNN_DATA_BFLOAT16 ? float(static_cast<const bf16*>(p)[from])
                                                                : static_cast<const float*>(p)[from];
        });
        return it->second;
    }
    void store(const TensorView& y, Numbers& numbers) const {
        void* const p = bound_.pointers.at(y.number);
        touch_tensor(y, p, true);
        disturb(y, numbers);
        each(y.extents, [&](size_t at, const Extents& i) {
            const auto to = size_t(offset(i, y.strides));
            if (y.type == CUDNN_DATA_BFLOAT16)
                static_cast<bf16*>(p)[to] = bf16(numbers[at]);
            else
                static_cast<float*>(p)[to] = numbers[at];
        });
    }
    // Sums in no fixed order: every other run differs in last bits.
    void disturb(const TensorView& y, Numbers& numbers) const {
        static std::atomic<int> runs{0};
        if (bound_.engine.repeats_bits || y.type != CUDNN_DATA_BFLOAT16) return;
        const float factor = runs++ % 2 ? 1 + 0x1p-7f : 1;
        for (float& x : numbers) x *= factor;
    }

    Numbers make(const Operation& o, const TensorView& y) {
        const TensorView x(*o.x);
        switch (o.kind) {
            case Operation::Kind::pointwise:
                return pointwise(o, y);
            case Operation::Kind::matmul:
                return matmul(o, y);
            case Operation::Kind::reduction:
                return reduction(o, x, y);
            default:
                return reshape(o, x, y);
        }
    }
    Numbers pointwise(const Operation& o, const TensorView& y) {
        Numbers to(size_t(elements(y.extents)));
        if (o.mode == CUDNN_POINTWISE_GEN_INDEX) {
            each(y.extents, [&](size_t at, const Extents& i) { to[at] = float(i[size_t(o.axis)]); });
            return to;
        }
        const Numbers& x = numbers(o.x);
        const Extents xs = broadcast(TensorView(*o.x).extents);
        const Numbers* const b = o.b ? &numbers(o.b) : nullptr;
        const Extents bs = o.b ? broadcast(TensorView(*o.b).extents) : Extents{};
        const Numbers* const t = o.t ? &numbers(o.t) : nullptr;
        const Extents ts = o.t ? broadcast(TensorView(*o.t).extents) : Extents{};
        each(y.extents, [&](size_t at, const Extents& i) {
            const float p = x[size_t(offset(i, xs))], q = b ? (*b)[size_t(offset(i, bs))] : 0;
            to[at] = value(o.mode, p, q, t && (*t)[size_t(offset(i, ts))] != 0);
        });
        return to;
    }
    static float value(cudnnPointwiseMode_t mode, float x, float b, bool t) {
        switch (mode) {
            case CUDNN_POINTWISE_ADD:
                return x + b;
            case CUDNN_POINTWISE_SUB:
                return x - b;
            case CUDNN_POINTWISE_MUL:
                return x * b;
            case CUDNN_POINTWISE_DIV:
                return x / b;
            case CUDNN_POINTWISE_EXP:
                return std::exp(x);
            case CUDNN_POINTWISE_LOG:
                return std::log(x);
            case CUDNN_POINTWISE_IDENTITY:
                return x;
            case CUDNN_POINTWISE_CMP_GT:
                return x > b;
            case CUDNN_POINTWISE_CMP_GE:
                return x >= b;
            case CUDNN_POINTWISE_CMP_LT:
                return x < b;
            default:
                return t ? x : b;  // a selection
        }
    }
    Numbers matmul(const Operation& o, const TensorView& y) {
        const TensorView a(*o.x), b(*o.b);
        const Numbers &left = numbers(o.x), &right = numbers(o.b);
        const auto rows = size_t(y.extents[2]), columns = size_t(y.extents[3]), depth = size_t(a.extents[3]);
        Numbers to(size_t(elements(y.extents)));
        each({y.extents[0], y.extents[1], 1, 1}, [&](size_t batch, const Extents& i) {
            const auto part = [&](const TensorView& of) {  // the batch's matrix, of fewer heads than y has
                const int64_t s = i[0] * of.extents[0] / y.extents[0], h = i[1] * of.extents[1] / y.extents[1];
                return size_t(s * of.extents[1] + h) * size_t(of.extents[2] * of.extents[3]);
            };
            const float *l = &left[part(a)], *r = &right[part(b)];
            float* const sums = &to[batch * rows * columns];
            for (size_t m = 0; m < rows; m++)
                for (size_t k = 0; k < depth; k++) {
                    const float factor = l[m * depth + k];
                    for (size_t n = 0; n < columns; n++) sums[m * columns + n] += factor * r[k * columns + n];
                }
        });
        if (!y.is_virtual && o.b != nullptr) spoil(y, to);
        return to;
    }
    // The library has engines whose dq is NaN where a length is no multiple of 128 and the log of a row's sum is so
    // small that its exponential is no longer a normal float.
    void spoil(const TensorView& y, Numbers& dq) const {
        constexpr int64_t kDq = 7;
        if (y.number != kDq || y.extents[2] % 128 == 0) return;
        for (const auto& [held, lse] : made_) {
            if (TensorView(*held).number != 5) continue;
            for (size_t row = 0; row < lse.size(); row++)
                if (lse[row] < -88.7f)
                    std::fill_n(dq.begin() + int64_t(row) * y.extents[3], y.extents[3],
                                std::numeric_limits<float>::quiet_NaN());
        }
    }
    Numbers reduction(const Operation& o, const TensorView& x, const TensorView& y) {
        const bool adds = o.reduce == CUDNN_REDUCE_TENSOR_ADD;
        Numbers to(size_t(elements(y.extents)), adds ? 0 : -std::numeric_limits<float>::infinity());
        const Numbers& from = numbers(o.x);
        const Extents strides = dense(y.extents);
        each(x.extents, [&](size_t at, Extents i) {
            for (size_t a = 0; a < kAxes; a++) i[a] = i[a] * y.extents[a] / x.extents[a];
            float& sum = to[size_t(offset(i, strides))];
            sum = adds ? sum + from[at] : std::max(sum, from[at]);
        });
        return to;
    }
    // The elements in the order in which x lies, so that y is x transposed where their strides are.
    Numbers reshape(const Operation& o, const TensorView& x, const TensorView& y) {
        const Numbers& from = numbers(o.x);
        std::vector<float> by_offset;
        each(x.extents, [&](size_t at, const Extents& i) {
            const auto to = size_t(offset(i, x.strides));
            if (to >= by_offset.size()) by_offset.resize(to + 1);
            by_offset[to] = from[at];
        });
        Numbers to(from.size());
        each(y.extents, [&](size_t at, const Extents& i) {
            const auto begin = size_t(offset(i, y.strides));
            if (begin >= by_offset.size()) fail(Exit::other, "cudnnBackendExecute: a reshape of other elements");
            to[at] = by_offset[begin];
        });
        return to;
    }

    const Bound& bound_;
    std::map<const Held*, Numbers> made_;
};

std::atomic<int64_t> runs_so_far{0};

}  // namespace

void run(const Bound& bound) {
    runs_so_far++;
    Interpreter(bound).run();
    Device::get().spend(0.1);
}

}  // namespace sluice::emu::cudnn

int64_t sluice::emu::plans_run() { return sluice::emu::cudnn::runs_so_far; }
