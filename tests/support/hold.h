// Holds an op to its oracle. An op is run(inputs, dout, out) -> gradients of the inputs, generic in T: in double its
// gradients are held to central differences of sum(dout * out) (in groups, where an input is large), in float all is
// held to double, and two threads must give the bits of one. An op whose backward takes long has one parameter more,
// run(inputs, dout, out, backward): false where only out is looked at.
#pragma once
#include <gtest/gtest.h>
#include <omp.h>

#include <string>

#include "support/oracle.h"

namespace sluice {

template <class T>
using Tensors = std::vector<std::vector<T>>;

template <class T>
Tensors<T> cast_all(const Tensors<double>& x) {
    Tensors<T> out;
    for (const auto& v : x) out.push_back(cast<T>(v));
    return out;
}

template <class Run>
void hold(const std::string& what, Tensors<double> inputs, size_t outputs, Run run) {
    SCOPED_TRACE(what);
    const auto dout = noise(outputs, 77);
    std::vector<double> out(outputs);
    const auto gradients = run(inputs, dout, out);
    ASSERT_EQ(gradients.size(), inputs.size());
    for (size_t i = 0; i < inputs.size(); i++) {
        const auto loss = [&] {
            std::vector<double> y(outputs);
            if constexpr (requires { run(inputs, dout, y, false); })
                run(inputs, dout, y, false);
            else
                run(inputs, dout, y);
            double sum = 0;
            for (size_t j = 0; j < outputs; j++) sum += dout[j] * y[j];
            return sum;
        };
        const Groups groups(inputs[i].size());
        const auto slopes = groups.central_difference(loss, inputs[i].data());
        EXPECT_LT(relative_error(groups.along(gradients[i].data()), slopes), tolerance<double>())
            << "gradient of input " << i;
    }
    const auto inputs_f = cast_all<float>(inputs);
    const auto dout_f = cast<float>(dout);
    const auto in_float = [&](int threads, std::vector<float>& y) {
        omp_set_num_threads(threads);
        auto g = run(inputs_f, dout_f, y);
        omp_set_num_threads(1);
        return g;
    };
    std::vector<float> one(outputs), two(outputs);
    const auto g_one = in_float(1, one), g_two = in_float(2, two);
    EXPECT_LT(relative_error(one, out), tolerance<float>());
    EXPECT_EQ(one, two) << "threads change bits";
    for (size_t i = 0; i < inputs.size(); i++) {
        EXPECT_LT(relative_error(g_one[i], gradients[i]), tolerance<float>()) << "gradient of input " << i;
        EXPECT_EQ(g_one[i], g_two[i]) << "threads change bits of gradient " << i;
    }
}

}  // namespace sluice
