// Rows for tests of ops: those of a dense tensor, and tensors that are columns of a wider matrix.
#pragma once
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/ops.h"
#include "support/hold.h"

namespace sluice {

// x (rows, width).
template <class T>
Rows<T> dense(std::vector<T>& x, int64_t width) {
    return {x.data(), width};
}
template <class T>
Rows<const T> dense(const std::vector<T>& x, int64_t width) {
    return {x.data(), width};
}

// The order that embedding_backward takes.
inline std::vector<int32_t> rows_by_token(const std::vector<int32_t>& tokens) {
    std::vector<int32_t> order(tokens.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return tokens[size_t(a)] < tokens[size_t(b)]; });
    return order;
}

// The tensors of one run of an op, each of other noise: all dense, or those of rows() with other columns on both sides.
template <class T>
class Operands {
 public:
    using Backend = Cpu<T>;
    explicit Operands(bool in_parts) : in_parts_(in_parts) {}

    // A tensor (count, width), in a matrix that has `beside` more columns.
    Rows<T> rows(int64_t count, int64_t width, int64_t beside) {
        const int64_t left = in_parts_ ? beside / 2 : 0, stride = width + (in_parts_ ? beside : 0);
        Matrix& m = matrices_.emplace_back(Matrix{{}, count, width, left, stride});
        m.data.assign(size_t(count * stride), kBeside);
        const auto values = noise(size_t(count * width), int(matrices_.size()));
        for (int64_t r = 0; r < count; r++)
            std::copy_n(values.begin() + r * width, width, m.data.begin() + r * stride + left);
        return {m.data.data() + left, stride};
    }
    T* dense(int64_t count) { return rows(1, count, 0).data; }

    // What the tensors hold. Nothing beside them may have changed.
    Tensors<T> contents() const {
        Tensors<T> all;
        for (const Matrix& m : matrices_) {
            auto& x = all.emplace_back();
            int64_t changed = 0;
            for (int64_t i = 0; i < int64_t(m.data.size()); i++) {
                const int64_t column = i % m.stride - m.left;
                if (column >= 0 && column < m.width)
                    x.push_back(m.data[size_t(i)]);
                else
                    changed += m.data[size_t(i)] != kBeside;
            }
            EXPECT_EQ(changed, 0) << "elements beside tensor " << all.size() - 1;
        }
        return all;
    }

 private:
    static constexpr T kBeside = T(1234.5);  // would show in what an op makes of it
    struct Matrix {
        std::vector<T> data;
        int64_t count, width, left, stride;
    };
    bool in_parts_;
    std::vector<Matrix> matrices_;
};

// op(Operands) does to parts of wider matrices what it does to dense tensors, and leaves what is beside them alone.
template <class Op>
void hold_in_parts(Op op) {
    const auto check = [&]<class T>(T) {
        const auto run = [&](bool in_parts, int threads) {
            Operands<T> operands(in_parts);
            omp_set_num_threads(threads);
            op(operands);
            omp_set_num_threads(1);
            return operands.contents();
        };
        const auto whole = run(false, 1), part = run(true, 1);
        for (size_t i = 0; i < whole.size(); i++)
            EXPECT_LT(relative_error(part[i], whole[i]), tolerance<T>()) << "tensor " << i;
        EXPECT_EQ(run(true, 3), part) << "threads change bits";
    };
    check(float());
    check(double());
}

}  // namespace sluice
