// What serves speed keeps its promises: bf16, ways to multiply that are kept, and the benchmarks' output.
#include "apps/program.h"
#include "base/machine.h"

namespace sluice {
namespace {

TEST_F(Program, ResumesInBf16) {
    const Ended first = run("train c.yaml train.precision=bf16");
    if (!multiplies_bf16(processor())) {
        EXPECT_EQ(first.code, 2);
        EXPECT_NE(first.err.find("AVX512-BF16"), std::string::npos) << first.err;
        EXPECT_EQ(run("bench step c.yaml train.precision=bf16").code, 2);
        return;
    }
    ASSERT_EQ(first.code, 0) << first.err;
    const auto all = course("a");
    const std::string end = digest("a", 12);
    fs::remove_all(folder_ / "runs/a/checkpoints/step-00000012");
    ASSERT_EQ(run("train c.yaml train.precision=bf16").code, 0);
    EXPECT_EQ(course("a"), all);
    EXPECT_EQ(digest("a", 12), end);
    EXPECT_EQ(run("eval runs/a").code, 0);
}

// How products were multiplied is in the checkpoint, and holds against whatever the machine has found since.
TEST_F(Program, MultipliesAsBefore) {
    setenv("SLUICE_CACHE", (folder_ / "cache").c_str(), 1);
    const std::string large = "train c.yaml train.micro_batch=16 model.hidden=256 model.ffn.hidden=512 train.batch=16";
    const auto choices = [&](const char* step) {
        const Json manifest =
            Json::parse(text(std::string("runs/a/checkpoints/step-000000") + step + "/manifest.json"));
        return manifest["gemm"].dump();
    };
    const Ended first = run(large);
    ASSERT_EQ(first.code, 0) << first.err;
    const std::string before = choices("12"), end = digest("a", 12);
    EXPECT_NE(before.find("threads"), std::string::npos) << before;
    fs::remove_all(folder_ / "runs/a/checkpoints/step-00000012");
    int files = 0;
    for (const auto& file : fs::directory_iterator(folder_ / "cache")) {
        if (file.path().extension() != ".txt") continue;
        files++;
        std::ostringstream kept;
        std::ifstream in(file.path());
        for (std::string line; std::getline(in, line);)  // another way for each
            kept << (line.rfind("blis", 0) == 0 ? "onednn_sgemm" : "blis") << line.substr(line.find(' ')) << "\n";
        std::ofstream(file.path()) << kept.str();
    }
    EXPECT_EQ(files, 1);
    ASSERT_EQ(run(large).code, 0);
    EXPECT_EQ(choices("12"), before);
    EXPECT_EQ(digest("a", 12), end);
    unsetenv("SLUICE_CACHE");
}

TEST_F(Program, BenchTellsOpsAtTheirSizes) {
    const Ended kernels = run("bench kernels c.yaml --json"), step = run("bench step c.yaml --json");
    ASSERT_EQ(kernels.code, 0) << kernels.err;
    const Json json = Json::parse(kernels.out);
    EXPECT_GT(json["gemm_flops_per_second"].get<double>(), 0);
    EXPECT_GT(json["copy_bytes_per_second"].get<double>(), 0);
    std::map<std::string, int> seen;
    for (const Json& row : json["kernels"]) {
        seen[row["op"].get<std::string>() + " " + row["size"].get<std::string>()]++;
        EXPECT_GT(row["seconds"].get<double>(), 0);
        EXPECT_GT(row["share"].get<double>(), 0);
        EXPECT_NE(row.contains("flops_per_second"), row.contains("bytes_per_second"));
    }
    EXPECT_EQ(seen["linear_forward 16x97x32"], 1);  // the head's: rows, vocabulary, width
    EXPECT_EQ(seen["attention_backward 16x32"], 1);
    ASSERT_EQ(step.code, 0) << step.err;
    const Json whole = Json::parse(step.out);
    for (const char* key : {"tokens_per_second", "step_seconds", "model_flops_per_second", "gemm_flops_per_second"})
        EXPECT_GT(whole[key].get<double>(), 0) << key;
    const Ended nowhere = run("bench kernels train.batch=8");  // the benchmark's model is not in this folder
    EXPECT_EQ(nowhere.code, 2);
    EXPECT_NE(nowhere.err.find("bench_17m.yaml"), std::string::npos) << nowhere.err;
}

}  // namespace
}  // namespace sluice
