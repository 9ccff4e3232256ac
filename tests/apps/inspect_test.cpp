// sluice inspect as users run it.
#include <algorithm>

#include "apps/program.h"

namespace sluice {
namespace {

class InspectCommand : public Program {
 protected:
    void train(const std::string& keys = "") {
        const Ended trained = run("train c.yaml train.steps=4 log.every=1 " + keys);
        ASSERT_EQ(trained.code, 0) << trained.err;
    }
    Json inspected(const std::string& arguments, int ranks = 1) {
        const Ended ended = run("inspect runs/a --json " + arguments, ranks);
        EXPECT_EQ(ended.code, 0) << ended.err;
        return ended.code == 0 ? parse_json(ended.out) : Json();
    }
    void expect_refused(const std::string& arguments, int code, const std::string& why) {
        const Ended ended = run("inspect " + arguments);
        EXPECT_EQ(ended.code, code) << arguments << ended.err;
        EXPECT_EQ(ended.out, "") << arguments;
        EXPECT_NE(ended.err.find(why), std::string::npos) << arguments << ": " << ended.err;
        EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    }
};

TEST_F(InspectCommand, SaysWhatTheSchemaNames) {
    train("model.vocab=300");
    const Json json = inspected("--text 'It is a truth' --layers 1 data.tokenizer=bytes");
    EXPECT_EQ(json["step"], 4);
    EXPECT_NE(json["checkpoint"].get<std::string>().find("runs/a/checkpoints/step-00000004"), std::string::npos);
    EXPECT_EQ(json["text"], "It is a truth");
    EXPECT_EQ(json["tokens"], 14);
    ASSERT_EQ(json["layers"].size(), 2u);
    for (const Json& layer : json["layers"]) {
        ASSERT_EQ(layer["gates"].size(), 2u);
        const Json &sdpa = layer["gates"][0], &value = layer["gates"][1];
        EXPECT_EQ(sdpa["position"], "sdpa");
        EXPECT_EQ(sdpa["granularity"], "elementwise");
        EXPECT_EQ(sdpa["heads"], "specific");
        EXPECT_EQ(sdpa["activation"], "sigmoid");
        EXPECT_EQ(value["gate"], 1);
        EXPECT_EQ(value["granularity"], "headwise");
        EXPECT_NEAR(sdpa["mean"].get<double>(), 0.5, 0.2);
        EXPECT_EQ(sdpa["per_head"].size(), 2u);
        EXPECT_NEAR(sdpa["per_head"][0]["mean"].get<double>() / 2 + sdpa["per_head"][1]["mean"].get<double>() / 2,
                    sdpa["mean"].get<double>(), 1e-12);
        EXPECT_TRUE(sdpa["per_head"][0]["under"].contains("0.1"));
        double shares = 0;
        for (const Json& share : sdpa["histogram"]["shares"]) shares += share.get<double>();
        EXPECT_NEAR(shares, 1, 1e-12);
        EXPECT_EQ(sdpa["histogram"]["width"], 0.05);
        EXPECT_EQ(sdpa["row_norms"]["per_head"].size(), 2u);
        EXPECT_LE(sdpa["row_norms"]["min"], sdpa["row_norms"]["mean"]);
        EXPECT_LE(sdpa["row_norms"]["mean"], sdpa["row_norms"]["max"]);
        for (const char* under : {"0.01", "0.1", "0.5"}) EXPECT_TRUE(sdpa["under"].contains(under));
        for (const char* name : {"f_attn", "entropy", "max_logit"}) {
            EXPECT_TRUE(layer["attention"][name].is_number());
            EXPECT_TRUE(layer["attention"]["per_head"][1][name].is_number());
        }
        for (const char* part : {"before", "after", "mean_score"}) {
            EXPECT_TRUE(layer["sdpa"][part]["mean_abs"].is_number()) << part;
            for (const char* under : {"0.01", "0.001"}) EXPECT_TRUE(layer["sdpa"][part]["under"].contains(under));
            const Json& heads = layer["sdpa"][part]["per_head"];
            ASSERT_EQ(heads.size(), 2u);
            EXPECT_NEAR((heads[0]["mean_abs"].get<double>() + heads[1]["mean_abs"].get<double>()) / 2,
                        layer["sdpa"][part]["mean_abs"].get<double>(), 1e-12);
        }
        EXPECT_NEAR(layer["sdpa"]["mean_score"]["mean_abs"].get<double>(),
                    layer["sdpa"]["before"]["mean_abs"].get<double>() * sdpa["mean"].get<double>(), 1e-5);
        EXPECT_GT(layer["m_act"].get<double>(), 0);
        EXPECT_TRUE(layer["moe"].is_null());
    }
    EXPECT_FALSE(json["layers"][0].contains("map"));
    const Json& map = json["layers"][1]["map"];
    ASSERT_EQ(map["tokens"].size(), 14u);
    EXPECT_EQ(map["tokens"][1], "I");
    ASSERT_EQ(map["weights"].size(), 14u);
    for (size_t t = 0; t < 14; t++) {
        double sum = 0;
        for (size_t u = 0; u < 14; u++) sum += map["weights"][t][u].get<double>();
        EXPECT_NEAR(sum, 1, 1e-5);
        if (t < 13) { EXPECT_EQ(map["weights"][t][t + 1], 0); }
    }
}

// Bytes of half a character are no text: the object is one that parses nevertheless.
TEST_F(InspectCommand, TextsOfAnyKind) {
    train("model.vocab=300");
    const Json letters = inspected("--text 'ä' --layers 0-1 data.tokenizer=bytes");
    EXPECT_EQ(letters["tokens"], 3);
    EXPECT_EQ(letters["text"], "ä");
    EXPECT_EQ(letters["layers"][1]["map"]["tokens"], Json({"<256>", "<C3>", "<A4>"}));
    std::ofstream(folder_ / "long.txt") << std::string(1000, 'x');
    const Json of_file = inspected("--text-file long.txt --layers 0 data.tokenizer=bytes");
    EXPECT_EQ(of_file["tokens"], 1001);
    EXPECT_EQ(of_file["text"].get<std::string>().size(), 200u);
    EXPECT_EQ(of_file["layers"][0]["map"]["weights"].size(), 16u) << "a window";
}

TEST_F(InspectCommand, ReadsTheFirstValidationDataByItself) {
    train();
    const Json json = inspected("--layers 0");
    EXPECT_TRUE(json["text"].is_null());
    EXPECT_EQ(json["tokens"], 256) << "16 windows";
    EXPECT_EQ(json["layers"][0]["map"]["tokens"][1], "4") << "an id where there is no tokenizer";
    const Ended table = run("inspect runs/a");
    EXPECT_EQ(table.code, 0) << table.err;
    for (const char* word : {"step 4", "256 tokens", "F-Attn", "M-Act", "gate<0.1"})
        EXPECT_NE(table.out.find(word), std::string::npos) << word << table.out;
    EXPECT_EQ(table.out.find("router"), std::string::npos) << "a column that no layer has";
}

TEST_F(InspectCommand, SavesBesideTheRunWhatItPrints) {
    train();
    const Ended printed = run("inspect runs/a --json --save");
    ASSERT_EQ(printed.code, 0) << printed.err;
    EXPECT_EQ(text("runs/a/inspect.json"), printed.out);
    fs::remove(folder_ / "runs/a/inspect.json");
    const Ended table = run("inspect runs/a/checkpoints/step-00000004 --save");
    ASSERT_EQ(table.code, 0) << table.err;
    EXPECT_NE(table.out.find("runs/a/inspect.json"), std::string::npos) << table.out;
    EXPECT_TRUE(parse_json(text("runs/a/inspect.json")).contains("layers"));
    fs::copy(folder_ / "runs/a/checkpoints/step-00000004", folder_ / "alone", fs::copy_options::recursive);
    expect_refused("alone --save", 2, "--save");
    EXPECT_EQ(run("inspect alone").code, 0);
}

TEST_F(InspectCommand, RefusesWhatItCannotLookAt) {
    train();
    expect_refused("gone", 4, "gone");
    expect_refused("runs/a --layers 2", 2, "there is no layer 2");
    expect_refused("runs/a --layers 1-9223372036854775807", 2, "there is no layer");
    for (const char* list : {"x", "1-0", "0,", "-1", "0..1"})
        expect_refused("runs/a --layers=" + std::string(list), 2, "--layers: ");
    expect_refused("runs/a --text a --text-file c.yaml data.tokenizer=bytes", 2, "give one");
    expect_refused("runs/a --text '' data.tokenizer=bytes", 2, "--text: is empty");
    std::ofstream(folder_ / "empty.txt");
    expect_refused("runs/a --text-file empty.txt", 2, "empty.txt is empty");
    expect_refused("runs/a --text-file gone.txt", 3, "gone.txt");
    expect_refused("runs/a --text a", 3, "data.tokenizer");
    expect_refused("runs/a --text a data.tokenizer=bytes", 3, "the model only 97");
    expect_refused("runs/a 'data.validation=[]'", 2, "--text");
    expect_refused("runs/a model.norm_eps=0.5", 2, "cannot be changed");
    fs::remove(folder_ / "train.bin");
    expect_refused("runs/a", 3, "--text");
}

TEST_F(InspectCommand, ModelsHaveWhatTheirPartsHave) {
    train("'model.gates=[]' model.attention.kind=rela");
    Json layer = inspected("--layers 0")["layers"][0];
    EXPECT_TRUE(layer["gates"].empty());
    EXPECT_TRUE(layer["attention"].is_null());
    EXPECT_TRUE(layer["map"].is_null());
    EXPECT_TRUE(layer["sdpa"]["before"].is_object());
    EXPECT_TRUE(layer["sdpa"]["after"].is_null());
    EXPECT_TRUE(layer["sdpa"]["mean_score"].is_null());
    fs::remove_all(folder_ / "runs");
    train(
        "model.ffn.hidden=0 'model.moe={experts: 4, top_k: 2, hidden: 8}' "
        "'model.switch_heads={target: kv, experts: 2, top_k: 1}' "
        "'model.gates=[{position: sdpa, input: none}, {position: key, heads: shared}]'");
    layer = inspected("")["layers"][1];
    EXPECT_EQ(layer["moe"]["load"].size(), 4u);
    EXPECT_TRUE(layer["moe"]["entropy"].is_number());
    EXPECT_TRUE(layer["gates"][0]["row_norms"].is_null());
    EXPECT_EQ(layer["gates"][1]["per_head"].size(), 1u);
    EXPECT_EQ(layer["gates"][1]["row_norms"]["per_head"].size(), 1u);
}

TEST_F(InspectCommand, RanksSayWhatOneSays) {
    train();
    const Json one = inspected("");
    for (const char* mesh : {"", "parallel.tensor=2"}) {
        const Json two = inspected(mesh, 2);
        EXPECT_EQ(two["tokens"], one["tokens"]);
        for (size_t l = 0; l < 2; l++) {
            const Json &a = two["layers"][l], &b = one["layers"][l];
            EXPECT_NEAR(a["gates"][0]["mean"].get<double>(), b["gates"][0]["mean"].get<double>(), 1e-5);
            for (const char* name : {"f_attn", "entropy", "max_logit"})
                EXPECT_NEAR(a["attention"][name].get<double>(), b["attention"][name].get<double>(), 1e-5);
        }
    }
}

}  // namespace
}  // namespace sluice
