#include "config/validate.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "config/text.h"

namespace sluice {
namespace {

void expect_gate_refused(const std::string& gate, const std::string& why, const Overrides& more = {}) {
    Overrides overrides = more;
    overrides.push_back("model.gates=[" + gate + "]");
    expect_refused(overrides, "model.gates.0", why);
}

TEST(Validate, ValuesOutOfRange) {
    const std::vector<std::pair<std::string, std::vector<std::string>>> bad{
        {"model.layers", {"0", "-1", "1000000"}},
        {"model.hidden", {"0", "-32", "99999999"}},
        {"model.heads", {"0", "-1", "9999999"}},
        {"model.kv_heads", {"0", "-1"}},
        {"model.head_dim", {"0", "-2", "1048576"}},
        {"model.vocab", {"0", "1", "2147483648"}},
        {"model.ffn.hidden", {"0", "-1"}},
        {"model.norm_eps", {"0", "-1e-6"}},
        {"model.init_std", {"0", "-1"}},
        {"model.residual_clip", {"-1"}},
        {"model.rope.theta", {"1", "0", "-5"}},
        {"model.rope.factor", {"0"}},
        {"model.attention.window", {"-1"}},
        {"data.sequence_length", {"0", "-1", "9999999999"}},
        {"data.delimiter", {"-1", "256"}},
        {"train.steps", {"-1"}},
        {"train.batch", {"0", "-1"}},
        {"train.micro_batch", {"-1", "3", "16"}},
        {"optimizer.lr", {"-1e-3"}},
        {"optimizer.beta1", {"1", "-0.1"}},
        {"optimizer.beta2", {"1", "2"}},
        {"optimizer.eps", {"0"}},
        {"optimizer.weight_decay", {"-1"}},
        {"optimizer.grad_clip", {"-1"}},
        {"schedule.warmup_steps", {"-1"}},
        {"schedule.final_lr", {"-1"}},
        {"schedule.decay_steps", {"-1"}},
        {"spikes.window", {"0", "3", "65537"}},
        {"spikes.threshold", {"0", "-1"}},
        {"spikes.most", {"0", "-1"}},
        {"parallel.tensor", {"0"}},
        {"parallel.expert", {"0"}},
        {"parallel.zero", {"2", "-1"}},
        {"parallel.timeout", {"0"}},
        {"checkpoint.every", {"-1"}},
        {"checkpoint.keep", {"-1"}},
        {"checkpoint.resume", {"''"}},
        {"eval.every", {"-1"}},
        {"eval.batches", {"-1"}},
        {"sample.tokens", {"0"}},
        {"log.every", {"0"}},
        {"run.seed", {"-1"}},
        {"run.dir", {"''"}},
        {"run.name", {"''", "a/b", ".a", "..", "'a\x7f'", "\"a\\nb\""}},
        {"model.moe.experts", {"-1"}}};
    for (auto& [path, values] : bad)
        for (auto& value : values) expect_refused({path + "=" + value}, path, ": ");
}

TEST(Validate, ValuesAtTheEdgeLoad) {
    for (auto text : {"model.layers=1",
                      "train.steps=0",
                      "optimizer.lr=0",
                      "optimizer.beta1=0",
                      "optimizer.grad_clip=0",
                      "model.residual_clip=0",
                      "data.delimiter=255",
                      "data.delimiter=0",
                      "data.delimiter=~",
                      "data.sequence_length=1",
                      "schedule.warmup_steps=1000",
                      "schedule={kind: wsd, decay_steps: 1000}",
                      "schedule.kind=wsd",
                      "checkpoint.every=0",
                      "checkpoint.keep=0",
                      "model.attention.window=1",
                      "spikes={action: rewind, window: 4, threshold: 0.5, most: 1}",
                      "spikes.window=65536",
                      "train.micro_batch=0",
                      "train.micro_batch=8",
                      "model.kv_heads=1",
                      "model.head_dim=2",
                      "model.moe={top_k: 2, hidden: 8}",
                      "device=cpu"})
        expect_loads({text});
}

TEST(Validate, HeadsThatDoNotFit) {
    EXPECT_EQ(error_of(kSmall, {"model.kv_heads=3"}),
              "command line: model.kv_heads=3: heads (4) is not divisible by kv_heads (3)");
    expect_refused({"model.head_dim=7"}, "model.head_dim", "odd");
    expect_refused({"model.hidden=28"}, "model.head_dim", "odd");  // by default 28 / 4
    expect_refused({"model.hidden=33"}, "model.head_dim", "not divisible by heads");
    expect_loads({"model.hidden=33", "model.head_dim=8"});
}

TEST(Validate, Rope) {
    expect_refused({"model.rope={scaling: linear}"}, "model.rope.factor", "above 1");
    expect_refused({"model.rope={scaling: yarn, original_length: 64}"}, "model.rope.factor", "above 1");
    expect_refused({"model.rope={scaling: yarn, factor: 4}"}, "model.rope.original_length", "yarn");
    expect_loads({"model.rope={scaling: linear, factor: 2}"});
    expect_loads({"model.rope={scaling: yarn, factor: 4, original_length: 64}"});
}

TEST(Validate, GatesAtTheOutput) {
    expect_gate_refused("{position: output, granularity: headwise}", "output");
    expect_gate_refused("{position: output, heads: shared}", "output");
    expect_gate_refused("{position: output, heads: averaged}", "output");
    expect_loads({"model.gates=[{position: output}]"});
    expect_loads({"model.gates=[{position: output, input: none, combine: add, activation: silu}]"});
}

TEST(Validate, ConstantGates) {
    expect_gate_refused("{input: none, bias: true}", "bias");
    expect_gate_refused("{input: none, init_std: 0.1}", "init_std");
    expect_gate_refused("{input: none, heads: averaged}", "average");
    expect_gate_refused("{init_std: -0.1}", "use 0 or more");
    expect_loads({"model.gates=[{input: none, heads: shared, granularity: headwise}]"});
    expect_loads({"model.gates=[{input: none, init_std: ~}]"});
    expect_loads({"model.gates=[{bias: true, init_std: 0}]"});
    expect_loads({"model.gates=[{input: none, scale: 2}]"});
}

TEST(Validate, ScalesOfGates) {
    expect_gate_refused("{scale: 0}", "use above 0");
    expect_gate_refused("{scale: -2}", "use above 0");
    expect_gate_refused("{scale: .nan}", "not a number");
    expect_loads({"model.gates=[{scale: 2, init_std: 0}]"});
}

TEST(Validate, MapsOfGates) {
    expect_gate_refused("{input_width: -1}", "use 0 to");
    expect_gate_refused("{rank: -1}", "use 0 to");
    expect_gate_refused("{rank: 2, rank_activation: gelu}", "silu");
    expect_gate_refused("{input_width: 33}", "33 is more than hidden (32)");
    expect_gate_refused("{rank_activation: silu}", "give rank");
    expect_gate_refused("{input: none, input_width: 4}", "reads no channels");
    expect_gate_refused("{input: none, rank: 4}", "a learned constant, not a map");
    for (auto position : {"query", "key", "value", "sdpa", "output"})
        for (auto map : {"input_width: 32", "input_width: 1", "rank: 1", "rank: 4, rank_activation: none",
                         "input_width: 2, rank: 64, rank_activation: silu, init_std: 0, scale: 2, bias: true"})
            expect_loads({std::string("model.gates=[{position: ") + position + ", " + map + "}]"});
}

TEST(Validate, GatesThatTheNormCancels) {
    for (const std::string position : {"query", "key"})
        for (const std::string activation : {"sigmoid", "ns_sigmoid", "softplus"}) {
            const std::string gate = "position: " + position + ", granularity: headwise, activation: " + activation;
            for (auto heads : {"specific", "shared", "averaged"})
                expect_gate_refused("{" + gate + ", heads: " + heads + "}", "cancels");
            expect_gate_refused("{" + gate + ", input: none}", "cancels");
            expect_loads({"model.gates=[{" + gate + ", combine: add}]"});
            expect_loads({"model.qk_norm=false", "model.gates=[{" + gate + "}]"});
        }
    for (auto gate : {"{position: query, granularity: headwise, activation: silu}",
                      "{position: key, granularity: headwise, activation: identity}",
                      "{position: key, granularity: headwise, activation: tanh}", "{position: key}",
                      "{position: value, granularity: headwise}", "{position: sdpa, granularity: headwise}"})
        expect_loads({std::string("model.gates=[") + gate + "]"});
}

// Every other combination of a gate's parts loads.
TEST(Validate, NothingElseOfAGate) {
    int loaded = 0;
    for (const std::string position : {"query", "key", "value", "sdpa", "output"})
        for (const std::string granularity : {"elementwise", "headwise"})
            for (const std::string heads : {"specific", "shared", "averaged"})
                for (const std::string combine : {"multiply", "add"})
                    for (const auto& [activation, a] : EnumNames<Activation>::all)
                        for (const std::string input : {"hidden", "none"})
                            loaded += error_of(kSmall, {"model.gates=[{position: " + position + ", granularity: " +
                                                        granularity + ", heads: " + heads + ", combine: " + combine +
                                                        ", activation: " + activation + ", input: " + input + "}]"})
                                          .empty();
    // four positions with heads: 2 x 2 x 6 x (3 + 2), less 2 x 3 x (3 + 2) cancelled; at the output 2 x 6 x 2
    EXPECT_EQ(loaded, 4 * 120 - 30 + 24);
}

TEST(Validate, SwitchHeadsAndExperts) {
    expect_refused({"model.switch_heads={target: v}"}, "model.switch_heads.experts", "need experts");
    expect_refused({"model.switch_heads={target: kv, experts: 4}"}, "model.switch_heads.top_k", "need top_k");
    expect_refused({"model.switch_heads={target: v, experts: 4, top_k: 5}"}, "model.switch_heads.top_k", "more than");
    expect_loads({"model.switch_heads={target: v, experts: 1, top_k: 1}"});
    const std::string moe = "model.moe={experts: 4, hidden: 8, top_k: ";
    expect_refused({moe + "5}"}, "model.moe.top_k", "more than", Purpose::plan);
    expect_refused({moe + "0}"}, "model.moe.top_k", "1 or more", Purpose::plan);
    expect_refused({moe + "2}", "model.moe.hidden=0"}, "model.moe.hidden", "1 or more", Purpose::plan);
    expect_refused({moe + "2}", "model.moe.z_coef=-1"}, "model.moe.z_coef", "use 0 or more", Purpose::plan);
    expect_loads({moe + "4}"}, Purpose::plan);
}

TEST(Validate, Data) {
    expect_refused({"data.train=[]"}, "data.train", "empty");
    expect_refused({"data.train=[{weight: 1}]"}, "data.train.0.path", "required");
    expect_refused({"data.train=[{path: x, weight: 0}]"}, "data.train.0.weight", "use above 0");
    expect_refused({"data.validation=[{path: x}]"}, "data.validation.0.name", "metric");
    expect_refused({"data.validation=[{name: a}]"}, "data.validation.0.path", "required");
    expect_refused({"data.validation=[{name: a/b, path: x}]"}, "data.validation.0.name", "metric");
    expect_refused({"data.validation=[{name: a, path: x}, {name: a, path: y}]"}, "data.validation.1.name", "two sets");
}

// What a machine lacks makes no config wrong: it is said where the backend is chosen (model/with_backend.h).
TEST(Validate, NothingForTheMachineItIsReadOn) {
    for (const char* key : {"device=cuda", "train.precision=bf16"})
        for (const Purpose purpose : {Purpose::plan, Purpose::train}) expect_loads({key}, purpose);
}

TEST(Validate, Meshes) {
    const std::string moe = "model.moe={experts: 4, top_k: 2, hidden: 6, shared_hidden: 4}";
    expect_loads({"model.heads=4", "model.kv_heads=2", "model.ffn.hidden=8", "parallel.tensor=4"});
    expect_loads({moe, "parallel.expert=2", "parallel.tensor=2", "parallel.sequence=true", "parallel.zero=1"});
    expect_refused({"model.heads=6", "model.hidden=24", "parallel.tensor=4"}, "parallel.tensor", "model.heads (6)");
    expect_refused({"model.heads=12", "model.kv_heads=6", "model.hidden=24", "model.ffn.hidden=8", "parallel.tensor=4"},
                   "parallel.tensor", "model.kv_heads (6)");
    expect_refused({"model.ffn.hidden=7", "parallel.tensor=2"}, "parallel.tensor", "model.ffn.hidden (7)");
    expect_refused({moe, "model.moe.hidden=5", "parallel.tensor=2"}, "parallel.tensor", "model.moe.hidden (5)");
    expect_refused({moe, "model.moe.shared_hidden=5", "parallel.tensor=2"}, "parallel.tensor", "shared_hidden (5)");
    expect_refused({moe, "parallel.expert=3"}, "parallel.expert", "model.moe.experts (4)");
    expect_refused({"parallel.expert=2"}, "parallel.expert", "no experts");
}

TEST(Validate, EverythingInOneGo) {
    const std::string error = error_of(R"(model:
  layers: 0
  hidden: 32
  heads: 4
  kv_heads: 3
  vocb: 256
  ffn: {hidden: lots}
  gates: [{position: output, granularity: headwise}, {position: nowhere}]
  layers: 2
data: {train: [{weight: 0}], sequence_length: 16}
train: {steps: 10, batch: 8, micro_batch: 3}
)",
                                       {"optimizer.beta1=1", "nonsense", "device=gpu", "model.rope={scaling: yarn}"});
    const std::vector<std::string> lines{
        "c.yaml:2:11: model.layers: 0 is out of range: use 1 to 10000",
        "c.yaml:5:13: model.kv_heads: heads (4) is not divisible by kv_heads (3)",
        "c.yaml:6:3: model.vocb: unknown key (did you mean 'vocab'?)",
        "c.yaml:7:17: model.ffn.hidden: 'lots' is not an integer in decimal digits",
        "c.yaml:8:43: model.gates.0.granularity: there are no heads at the output position",
        "c.yaml:8:65: model.gates.1.position: 'nowhere' is not one of query, key, value, sdpa, output",
        "c.yaml:9:3: key 'layers' is given twice in the same map: keep one",
        "c.yaml:10:16: data.train.0.path: required",
        "c.yaml:10:25: data.train.0.weight: 0 is out of range: use above 0",
        "c.yaml:11:43: train.micro_batch: batch (8) is not a multiple of micro_batch (3)",
        "command line: nonsense: not an override: write key=value",
        "command line: device=gpu: 'gpu' is not one of auto, cpu, cuda",
        "command line: optimizer.beta1=1: 1 is out of range: use 0 or more, below 1",
        "command line: optimizer.beta1=1: optimizer.lr: required, but not given",
        "command line: model.rope={scaling: yarn}: model.rope.factor: yarn scaling needs a factor above 1, not 1",
        "command line: model.rope={scaling: yarn}: model.rope.original_length: yarn scaling needs"};
    for (size_t i = 0; i < lines.size(); i++)
        EXPECT_TRUE(contains("\n" + error, "\n" + lines[i])) << lines[i] << "\n" << error;
    EXPECT_EQ(size_t(std::count(error.begin(), error.end(), '\n')) + 1, lines.size()) << error;
}

TEST(Validate, SaysWhereTheValueStands) {
    EXPECT_EQ(error_of(kSmall + "schedule:\n  final_lr: -1\n"),
              "c.yaml:7:13: schedule.final_lr: -1 is out of range: use 0 or more");
    EXPECT_TRUE(error_of(kSmall, {"model.heads=5"}).starts_with("c.yaml:2:8: model.head_dim: "));
}

// The reference says which keys are numbers, lists and maps aside.
TEST(Validate, WhatIsNoNumberInEveryKeyThatTakesOne) {
    const auto keys = nlohmann::json::parse(reference_json());
    int numbers = 0;
    for (const auto& [pattern, key] : keys.items()) {
        if (key["type"] != "integer" && key["type"] != "number") continue;
        numbers++;
        std::string name = pattern;
        if (const size_t n = name.find(".N."); n != std::string::npos) name[n + 1] = '0';
        for (const char* value : {"nan", ".nan", "inf", "-.inf", "0x1p3", "1e999", "5x", "5 6", "' 5'", "''", "010"}) {
            const std::string error = error_of(kSmall, {"model.gates=[{position: sdpa}]", name + "=" + value});
            EXPECT_TRUE(error.starts_with("command line: " + name + "=" + value + ": ")) << error;
            EXPECT_TRUE(contains(error, " is not ") || contains(error, "is out of range")) << error;
        }
    }
    EXPECT_GT(numbers, 40);
}

}  // namespace
}  // namespace sluice
