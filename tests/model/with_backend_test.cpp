// Where a backend is chosen, and what a machine may lack for it.
#include "model/with_backend.h"

#include <gtest/gtest.h>

#include <string>
#include <type_traits>

#include "base/machine.h"

namespace sluice {
namespace {

std::string refusal(const Config& config) {
    try {
        require_backend(config);
        return "";
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Exit::config);
        return failure.what();
    }
}

TEST(WithBackend, RunsOnTheCpuInFp32) {
    const Config config;
    EXPECT_EQ(refusal(config), "");
    EXPECT_TRUE(with_backend(config, []<class B>(B) { return std::is_same_v<B, Cpu<float>>; }));
}

TEST(WithBackend, SaysWhatThisMachineLacks) {
    Config config;
    config.train.precision = Precision::bf16;
    EXPECT_EQ(refusal(config).find("AVX512-BF16") == std::string::npos, multiplies_bf16(processor()));
    EXPECT_TRUE(multiplies_bf16("flags\t\t: fpu avx512f avx512_bf16 sse\n"));
    EXPECT_FALSE(multiplies_bf16("flags\t\t: fpu avx2 avx512f\n"));
}

TEST(WithBackend, PrecisionIsOfProducts) {
    EXPECT_EQ(matmul_precision(Precision::fp32), MatmulPrecision::full);
    EXPECT_EQ(matmul_precision(Precision::bf16), MatmulPrecision::bf16);
}

}  // namespace
}  // namespace sluice
