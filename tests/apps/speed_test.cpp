// What serves speed keeps its promises: bf16, ways to multiply that are kept, and the benchmarks' output.
#include <set>

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
    fs::remove_all(folder_ / "runs/a/checkpoints/step-00000012");
    const Ended in_float = run("train c.yaml");
    EXPECT_EQ(in_float.code, 0);
    EXPECT_NE((in_float.out + in_float.err).find("train.precision: bf16 -> fp32"), std::string::npos);
}

// How products were multiplied is in the checkpoint, and holds against whatever the machine has found since.
TEST_F(Program, MultipliesAsBefore) {
    setenv("SLUICE_CACHE", (folder_ / "cache").c_str(), 1);
    const std::string large = "train c.yaml train.micro_batch=16 model.hidden=256 model.ffn.hidden=512 train.batch=16";
    const auto choices = [&](const char* step) {
        const Json manifest = parse_json(text(std::string("runs/a/checkpoints/step-000000") + step + "/manifest.json"));
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

// Two ranks of one kind of machine that had chosen apart go on apart; machines that a run has left are not forgotten.
TEST_F(Program, EveryRankMultipliesAsBefore) {
    const std::string large = "train c.yaml train.micro_batch=16 model.hidden=256 model.ffn.hidden=512 train.batch=32";
    setenv("SLUICE_CACHE", (folder_ / "cache").c_str(), 1);
    ASSERT_EQ(run(large + " train.steps=4", 2).code, 0);
    const fs::path manifest = folder_ / "runs/a/checkpoints/step-00000004/manifest.json";
    Json json = parse_json(text("runs/a/checkpoints/step-00000004/manifest.json"));
    ASSERT_EQ(json["gemm"].size(), 1u) << json["gemm"];
    EXPECT_EQ(json["gemm"][0]["ranks"], parse_json("[0, 1]"));
    Json other = json["gemm"][0], elsewhere = other;
    for (Json& line : other["ways"]) line = "blis" + line.get<std::string>().substr(line.get<std::string>().find(' '));
    json["gemm"][0]["ranks"] = {0};
    other["ranks"] = {1};
    elsewhere["machine"] = "another";
    elsewhere["ranks"] = {7};
    json["gemm"].push_back(other);
    json["gemm"].push_back(elsewhere);
    std::ofstream(manifest) << json.dump();
    const Ended resumed = run(large + " train.steps=6 checkpoint.allow_change=true", 2);
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    const Json after = parse_json(text("runs/a/checkpoints/step-00000006/manifest.json"))["gemm"];
    ASSERT_EQ(after.size(), 3u) << after;
    EXPECT_EQ(after[0], json["gemm"][0]);
    EXPECT_EQ(after[1]["ways"].get<std::set<std::string>>(), other["ways"].get<std::set<std::string>>());
    EXPECT_EQ(after[1]["ranks"], other["ranks"]);
    EXPECT_EQ(after[2]["machine"], "another");
    EXPECT_EQ(after[2]["ranks"], Json::array());
    unsetenv("SLUICE_CACHE");
}

TEST_F(Program, BenchTellsOpsAtTheirSizes) {
    const Ended kernels = run("bench kernels c.yaml --json"), step = run("bench step c.yaml --json");
    ASSERT_EQ(kernels.code, 0) << kernels.err;
    const Json json = parse_json(kernels.out);
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
    const Json whole = parse_json(step.out);
    for (const char* key : {"tokens_per_second", "step_seconds", "model_flops_per_second", "gemm_flops_per_second"})
        EXPECT_GT(whole[key].get<double>(), 0) << key;
    EXPECT_EQ(run("bench step c.yaml device=cuda").code, 2);
    EXPECT_NE(run("bench kernel c.yaml").err.find("'kernels'"), std::string::npos);
    const Ended nowhere = run("bench kernels train.batch=8");  // the benchmark's model is not in this folder
    EXPECT_EQ(nowhere.code, 2);
    EXPECT_NE(nowhere.err.find("bench_17m.yaml"), std::string::npos) << nowhere.err;
}

}  // namespace
}  // namespace sluice
