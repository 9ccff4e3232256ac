// Autotuning choices in checkpoints: of several libraries and machines, and as commit 9c05f92 wrote them.
#include <gtest/gtest.h>

#include "base/json.h"
#include "checkpoint/manifest.h"
#include "support/folder.h"
#include "support/state.h"

namespace sluice {
namespace {

using Records = std::vector<AutotuneRecord>;

// What the checkpoint says that ranks of these records wrote.
Json written(const std::vector<Records>& of_rank) {
    const Folder folder;
    State state(1);
    run_threads(int(of_rank.size()), [&](Comm& comm) {
        CheckpointWriter writer(folder.path(), false, 0);
        CheckpointInfo info;
        info.step = 1;
        info.config_yaml = "run: {}\n";
        info.autotune = of_rank[size_t(comm.rank())];
        writer.begin(comm, info, state.list(comm.size(), comm.rank()));
        writer.finish(comm);
    });
    return parse_json(read_file(folder / step_name(1) / "manifest.json", int(Exit::checkpoint), 1 << 20))["gemm"];
}

TEST(AutotuneRecords, RanksWithTheSameChoicesShareARecord) {
    const AutotuneRecord left{"left", {"x"}, {}}, left_too{"left", {"y"}, {}}, old{"gpu-2", {"old"}, {}};
    const auto cpu = [](std::set<std::string> lines, int64_t rank) { return AutotuneRecord{"cpu", lines, {rank}}; };
    const auto gpu = [](std::set<std::string> lines, int64_t rank) { return AutotuneRecord{"gpu-1", lines, {rank}}; };
    const Json json = written({{cpu({"a", "b"}, 0), gpu({"g"}, 0), left, left_too, old, left},
                               {cpu({"b"}, 1), gpu({"g"}, 1), {"gpu-2", {"new"}, {1}}},
                               {cpu({"a", "b"}, 2), gpu({}, 2)}});
    EXPECT_EQ(json, parse_json(R"([{"machine": "cpu", "ranks": [0, 2], "ways": ["a", "b"]},
                                   {"machine": "gpu-1", "ranks": [0, 1], "ways": ["g"]},
                                   {"machine": "cpu", "ranks": [1], "ways": ["b"]},
                                   {"machine": "gpu-2", "ranks": [1], "ways": ["new"]},
                                   {"machine": "gpu-1", "ranks": [2], "ways": []},
                                   {"machine": "left", "ranks": [], "ways": ["x"]},
                                   {"machine": "left", "ranks": [], "ways": ["y"]}])"));
}

TEST(AutotuneRecords, LinesOfWhateverLibraryAreReadAsTheyStand) {
    Manifest m;
    m.files["f"] = {1, "0"};
    m.tensors["t"] = {"F32", {1}, {{"f", {{0}, {1}}}}};
    Json json = parse_json(manifest_text(m));
    json["gemm"] = parse_json(R"([{"machine": "8b1a9953c4611296", "ranks": [0, 1],
                                   "ways": ["onednn_matmul 256x97x32 nt set threads 1"]},
                                  {"machine": "cublaslt-77", "ranks": [1], "ways": ["{\"algo\": 7, \"tile\": \"\u00e4\"}"]}])");
    const auto records = parse_manifest(json.dump()).info.autotune;
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].machine, "8b1a9953c4611296");
    EXPECT_EQ(records[0].lines, (std::set<std::string>{"onednn_matmul 256x97x32 nt set threads 1"}));
    EXPECT_EQ(records[0].ranks, (std::set<int64_t>{0, 1}));
    EXPECT_EQ(records[1].lines, (std::set<std::string>{"{\"algo\": 7, \"tile\": \"\u00e4\"}"}));
    json.erase("gemm");  // older ones have none
    EXPECT_TRUE(parse_manifest(json.dump()).info.autotune.empty());
}

}  // namespace
}  // namespace sluice
