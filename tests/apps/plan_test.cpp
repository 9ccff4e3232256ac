// sluice plan as users run it: what it prints, as text and as JSON.
#include "plan/plan.h"

#include "apps/program.h"
#include "config/load.h"

namespace sluice {
namespace {

class PlanProgram : public Program {
 protected:
    Json json(const std::string& arguments) {
        const Ended ended = run("plan " + arguments + " --json");
        EXPECT_EQ(ended.code, 0) << ended.err;
        EXPECT_TRUE(ended.err.empty()) << ended.err;
        return parse_json(ended.out);
    }
    std::string text(const std::string& arguments) {
        const Ended ended = run("plan " + arguments);
        EXPECT_EQ(ended.code, 0) << ended.err;
        return ended.out;
    }
    static void expect_in(const std::string& text, const std::string& part) {
        EXPECT_NE(text.find(part), std::string::npos) << part << " is not in:\n" << text;
    }
    static std::string model(const std::string& name) { return "'" SLUICE_SOURCE_DIR "/configs/models/" + name + "'"; }
    // A setting's changes, as a command line takes them.
    static std::string arguments(const Json& setting) {
        std::string line = " --ranks " + std::to_string(setting["ranks"].get<int>());
        for (const auto& change : setting["changes"]) line += " " + change.get<std::string>();
        return line;
    }
};

// The tests' config: 2 layers, 12 steps of 4 sequences of 16 tokens.
TEST_F(PlanProgram, TellsWhatARunTakes) {
    const Json cpu = json("c.yaml");
    EXPECT_EQ(cpu["run"]["steps"], 12);
    EXPECT_EQ(cpu["run"]["tokens_per_step"], 64);
    EXPECT_EQ(cpu["run"]["tokens"], 768);
    EXPECT_FALSE(cpu["run"].contains("days"));  // the speed of a CPU is measured, not planned
    EXPECT_EQ(cpu["run"]["checkpoint_bytes"].get<int64_t>(), 12 * cpu["parameters"]["total"].get<int64_t>());
    const Json gpu = json("c.yaml --ranks 4 --gpu h100");
    const double step = gpu["gpu"]["step_seconds"];
    EXPECT_DOUBLE_EQ(gpu["run"]["seconds"], 12 * step);
    EXPECT_DOUBLE_EQ(gpu["run"]["days"], 12 * step / 86400);
    EXPECT_DOUBLE_EQ(gpu["run"]["gpu_hours"], 4 * 12 * step / 3600);
    EXPECT_DOUBLE_EQ(gpu["gpu"]["tokens_per_second"], 64 / step);
    EXPECT_DOUBLE_EQ(gpu["gpu"]["tokens_per_second_per_gpu"], 16 / step);
    double parts = 0;
    for (const auto& [name, seconds] : gpu["gpu"]["seconds"].items()) parts += seconds.get<double>();
    EXPECT_NEAR(parts / step, 1, 1e-12);
    const std::string page = text("c.yaml --ranks 4 --gpu h100");
    expect_in(page, "12 steps x 64 tokens = 768 tokens");
    expect_in(page, "GPU hours");
    expect_in(text(model("dense_1p7b_28.yaml") + " --ranks 1024 --gpu h100"),
              "95367 steps x 4.19M tokens = 400G tokens; estimated 0.12 days, 28");
    expect_in(page, "estimates for kernels that no GPU has run yet");
    expect_in(page, "MFU counts causal attention");
    expect_in(page, "are set aside 1.00G for the CUDA context, 688M for NCCL and 160M for streams");
    expect_in(gpu["gpu"]["assumptions"], "are set aside 1.00G for the CUDA context");
}

TEST_F(PlanProgram, BytesAddUpWithWhatIsSetAside) {
    for (const char* where : {"", " --ranks 4 --gpu h100", " --ranks 4 --gpu h200 train.precision=bf16"}) {
        const Json plan = json(std::string("c.yaml") + where);
        int64_t sum = 0;
        for (const auto& [name, bytes] : plan["bytes_per_rank"].items())
            if (name != "total") sum += bytes.get<int64_t>();
        EXPECT_EQ(plan["bytes_per_rank"]["total"], sum) << where;
        EXPECT_EQ(plan["bytes_per_rank"].contains("device"), where[0] != 0);
        if (where[0] == 0) continue;
        const Json& gpu = plan["gpu"];
        EXPECT_EQ(plan["bytes_per_rank"]["device"], gpu["reserved"]["context"].get<int64_t>() +
                                                        gpu["reserved"]["nccl"].get<int64_t>() +
                                                        gpu["reserved"]["workspaces"].get<int64_t>());
    }
    EXPECT_EQ(json("c.yaml --gpu h100")["gpu"]["memory_bytes"], 81559LL << 20);
}

// train.precision decides, with and without a GPU: on a CPU all is stored in fp32 whatever products multiply.
TEST_F(PlanProgram, FollowsThePrecision) {
    const auto weights = [](const Json& plan) { return plan["bytes_per_rank"]["weights"].get<int64_t>(); };
    const Json fp32 = json("c.yaml"), bf16 = json("c.yaml train.precision=bf16");
    const Json gpu32 = json("c.yaml --gpu h100"), gpu16 = json("c.yaml train.precision=bf16 --gpu h100");
    EXPECT_EQ(fp32["precision"], "fp32");
    EXPECT_EQ(bf16["precision"], "bf16");
    EXPECT_EQ(gpu32["precision"], "fp32");
    EXPECT_EQ(gpu16["precision"], "bf16");
    EXPECT_EQ(weights(bf16), weights(fp32));
    EXPECT_EQ(weights(gpu32), weights(fp32));
    EXPECT_EQ(weights(gpu16), weights(fp32) / 2);
    EXPECT_EQ(gpu32["bytes_per_rank"]["masters"], 0);
    EXPECT_EQ(gpu16["bytes_per_rank"]["masters"], weights(fp32));
    // A device's plan is a GPU's, but for what its figures set aside.
    const std::string on_device = "c.yaml train.precision=bf16 train.micro_batch=1 device=cuda";
    const Json of_device = json(on_device)["bytes_per_rank"],
               of_gpu = json(on_device + " --gpu h100")["bytes_per_rank"];
    for (const auto& [name, bytes] : of_device.items())
        if (name != "total" && name != "device") { EXPECT_EQ(of_gpu[name], bytes) << name; }
    EXPECT_EQ(of_device["device"], gpu16["gpu"]["reserved"]["workspaces"]);
    EXPECT_EQ(of_device["masters"].get<int64_t>(), 2 * of_device["weights"].get<int64_t>());
    EXPECT_EQ(gpu32["gpu"]["figures"]["peak_flops"], 67e12);
    EXPECT_EQ(gpu16["gpu"]["figures"]["peak_flops"], 989.4e12);
    expect_in(text("c.yaml train.precision=bf16"), "bf16 products, all stored in fp32");
    const std::string page = text("c.yaml --gpu h100");
    EXPECT_EQ(page.find("bf16"), std::string::npos) << page;
    expect_in(page, "without TF32");
    expect_in(text("c.yaml train.precision=bf16 --gpu h100"), "bf16 weights and activations, fp32 masters");
}

// A micro-batch that nobody gave is the largest that fits, and the plan says so; one that was given stays.
TEST_F(PlanProgram, ChoosesAMicroBatchThatFits) {
    const std::string dense = model("dense_1p7b_28.yaml") + " --ranks 8 --gpu h100";
    const Json plan = json(dense);
    EXPECT_TRUE(plan["gpu"]["fits"].get<bool>());
    EXPECT_TRUE(plan["micro_batch_chosen"].get<bool>());
    const int64_t chosen = plan["micro_batch"];
    EXPECT_GT(chosen, 1);
    EXPECT_FALSE(json(dense + " train.micro_batch=" + std::to_string(2 * chosen))["gpu"]["fits"].get<bool>());
    const std::string page = text(dense);
    expect_in(page, "micro-batch " + std::to_string(chosen) + " x 4096 tokens (the largest that fits)");
    expect_in(page, "the config gives no train.micro_batch, and training then takes a rank's whole share, 128");
    const Json given = json(dense + " train.micro_batch=2");
    EXPECT_EQ(given["micro_batch"], 2);
    EXPECT_FALSE(given["micro_batch_chosen"].get<bool>());
    EXPECT_EQ(text(dense + " train.micro_batch=2").find("largest that fits"), std::string::npos);
    EXPECT_TRUE(json(dense + " train.micro_batch=0")["micro_batch_chosen"].get<bool>());
    EXPECT_EQ(json(model("dense_1p7b_28.yaml") + " --ranks 8")["micro_batch"], 128);  // a CPU's is training's
    expect_in(text(model("moe_15a2b.yaml") + " --gpu h200"),
              "micro-batch 1 x 4096 tokens (and even that does not fit)");
}

TEST_F(PlanProgram, SearchPrintsTheTenFastest) {
    const std::string moe = model("moe_15a2b.yaml") + " --ranks 64 --gpu h200 --search";
    const Json plan = json(moe);
    ASSERT_EQ(plan["search"].size(), 10u);
    EXPECT_EQ(plan["search"][0], plan["gpu"]["nearest"]);
    double last = 0;
    for (const Json& setting : plan["search"]) {
        EXPECT_GE(setting["step_seconds"].get<double>(), last);
        last = setting["step_seconds"];
        EXPECT_EQ(setting["ranks"], 64);
        const Json again = json(model("moe_15a2b.yaml") + " --gpu h200" + arguments(setting));
        EXPECT_TRUE(again["gpu"]["fits"].get<bool>()) << setting;
        EXPECT_FALSE(again["micro_batch_chosen"].get<bool>()) << setting;
        EXPECT_EQ(again["gpu"]["step_seconds"], setting["step_seconds"]);
        EXPECT_EQ(again["bytes_per_rank"]["total"], setting["bytes"]);
    }
    const std::string page = text(moe);
    expect_in(page, "fastest settings that fit 64 x h200");
    expect_in(page, "\n  10 ");
    EXPECT_EQ(page.find("\n  11 "), std::string::npos);
    expect_in(page, "the first: " + arguments(plan["search"][0]).substr(1) + "\n");
}

TEST_F(PlanProgram, SearchKeepsGivenKeysOfTheMesh) {
    const Json plan = json(model("moe_15a2b.yaml") + " --ranks 64 --gpu h200 parallel.expert=16 --search");
    EXPECT_TRUE(plan["search_kept_mesh_keys"].get<bool>());
    bool ffn_with_zero = false;
    for (const Json& setting : plan["search"]) {
        EXPECT_EQ(setting["mesh"]["expert"], 16);
        ffn_with_zero |= setting["recompute"] == "ffn" && setting["mesh"]["zero"] == 1;
    }
    EXPECT_TRUE(ffn_with_zero);
    EXPECT_LT(plan["search_faster"]["step_seconds"], plan["search"][0]["step_seconds"]);
    const std::string page = text(model("moe_15a2b.yaml") + " --ranks 64 --gpu h200 parallel.expert=16 --search");
    expect_in(page, "keys of the mesh that are given stay");
    expect_in(page, "without the given keys of the mesh: --ranks 64");
}

// Reserved is the worst case; what balanced experts need stands beside it.
TEST_F(PlanProgram, TellsWhatBalancedExpertsNeed) {
    const std::string moe = model("moe_15a2b.yaml") + " --ranks 64 --gpu h200 train.micro_batch=1 parallel.expert=16";
    const Json plan = json(moe);
    const auto bytes = [&](const char* key, const char* name) { return plan[key][name].get<int64_t>(); };
    EXPECT_EQ(bytes("bytes_per_rank", "weights"), bytes("bytes_per_rank_balanced", "weights"));
    // 24 layers; worst 16 ranks x 4096 x 8 rows, evenly loaded 4096 x 8. A row is 2048 + 3 x 768 numbers of 2 bytes, a
    // weight and a place of 4.
    EXPECT_EQ(bytes("bytes_per_rank", "activations") - bytes("bytes_per_rank_balanced", "activations"),
              24LL * 15 * 4096 * 8 * ((2048 + 3 * 768) * 2 + 8));
    const std::string page = text(moe);
    expect_in(page, "worst case");
    expect_in(page, "with experts evenly loaded");
    EXPECT_EQ(text("c.yaml").find("experts"), std::string::npos);
}

TEST_F(PlanProgram, WireBytesStandBesideThoseHandedIn) {
    const Json plan = json("c.yaml --ranks 4");
    const double handed = plan["bytes_sent_per_step"]["data"], wire = plan["bytes_on_wire_per_step"]["data"];
    EXPECT_DOUBLE_EQ(wire, 1.5 * handed);  // an all-reduce on four ranks
    expect_in(text("c.yaml --ranks 4"), "what it sends and receives for them");
    // The tensor group's and those of its ranks that hold the same key-value head.
    const std::vector<std::string> keys{"model.heads=4", "model.kv_heads=2", "parallel.tensor=4", "model.gates=[]"};
    std::string line = "c.yaml --ranks 4";
    for (const std::string& key : keys) line += " " + key;
    const Config c = load_config((folder_ / "c.yaml").string(), keys, Purpose::plan, 4).config;
    const WireTraffic sent = plan_traffic(c, mesh_coord(mesh_shape(c.model, c.parallel), 4, 0), 4, 4).wire;
    EXPECT_GT(sent.replicas, 0);
    EXPECT_EQ(json(line)["bytes_on_wire_per_step"]["tensor"], int64_t(sent.tensor + sent.replicas));
}

TEST_F(PlanProgram, SearchNeedsAGpu) {
    const Ended ended = run("plan c.yaml --search");
    EXPECT_EQ(ended.code, 2);
    expect_in(ended.err, "give --gpu, one of a100, h100, h200, b200");
    EXPECT_TRUE(ended.out.empty());
}

}  // namespace
}  // namespace sluice
