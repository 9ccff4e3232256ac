#include <filesystem>
#include <fstream>

#include "config/text.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// A folder of this test alone.
class Files : public testing::Test {
 protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() /
                  ("sluice config " + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
        fs::remove_all(folder_);
        fs::create_directories(folder_ / "sub");
    }
    void TearDown() override { fs::remove_all(folder_); }
    std::string write(const std::string& name, const std::string& text) {
        std::ofstream(folder_ / name) << text;
        return (folder_ / name).string();
    }
    static std::string error(const std::string& file) {
        try {
            load_config(file, {}, Purpose::train);
        } catch (const Failure& e) {
            EXPECT_EQ(e.code(), Exit::config);
            return e.what();
        }
        return "";
    }
    fs::path folder_;
};

TEST(Load, FillsInDefaults) {
    const Config c = small();
    EXPECT_EQ(c.model.kv_heads, 4);
    EXPECT_EQ(c.model.head_dim, 8);
    EXPECT_TRUE(c.model.qk_norm);
    EXPECT_FALSE(c.model.tie_embeddings);
    EXPECT_EQ(c.model.norm_eps, 1e-6);
    EXPECT_EQ(c.model.init_std, 0.02);
    EXPECT_EQ(c.model.rope.theta, 10000);
    EXPECT_TRUE(c.model.gates.all.empty());
    EXPECT_EQ(c.train.micro_batch, 0);
    EXPECT_EQ(c.train.precision, Precision::fp32);
    EXPECT_EQ(c.data.train[0].weight, 1);
    EXPECT_EQ(c.optimizer.beta1, 0.9);
    EXPECT_EQ(c.optimizer.beta2, 0.95);
    EXPECT_EQ(c.optimizer.weight_decay, 0.1);
    EXPECT_EQ(c.schedule.kind, ScheduleKind::cosine);
    EXPECT_EQ(c.checkpoint.every, 1000);
    EXPECT_EQ(c.checkpoint.resume, "auto");
    EXPECT_EQ(c.log.every, 10);
    EXPECT_EQ(c.run.dir, "runs");
    EXPECT_EQ(c.run.seed, 1);
}

TEST(Load, EveryRequiredKeyIsMissed) {
    const std::vector<std::pair<std::string, std::string>> parts{{"layers: 4, ", "model.layers"},
                                                                 {"hidden: 32, ", "model.hidden"},
                                                                 {"heads: 4, ", "model.heads"},
                                                                 {"vocab: 256, ", "model.vocab"},
                                                                 {", ffn: {hidden: 48}", "model.ffn.hidden"},
                                                                 {"train: [{path: a.bin}], ", "data.train"},
                                                                 {", sequence_length: 16", "data.sequence_length"},
                                                                 {"steps: 10, ", "train.steps"},
                                                                 {", batch: 8", "train.batch"},
                                                                 {"lr: 1e-3", "optimizer.lr"}};
    for (auto& [part, path] : parts) {
        std::string text = kSmall;
        text.replace(text.find(part), part.size(), "");
        const std::string error = error_of(text);
        EXPECT_TRUE(error.starts_with("c.yaml") && contains(error, path) && contains(error, "required")) << error;
        const bool optional = path == "data.train" || path == "train.steps" || path == "optimizer.lr";
        EXPECT_EQ(error_of(text, {}, Purpose::plan).empty(), optional) << path;
    }
    EXPECT_TRUE(contains(error_of(""), "model.layers: required"));
    expect_refused({"model.moe.experts=4"}, "model.moe.top_k", "required", Purpose::plan);
    expect_refused({"model.moe={experts: 4, top_k: 2}"}, "model.moe.hidden", "required", Purpose::plan);
}

TEST(Load, UnknownKeysGetTheNearestKnownOne) {
    EXPECT_EQ(error_of(kSmall + "log:\n  evry: 32\n"), "c.yaml:7:3: log.evry: unknown key (did you mean 'every'?)");
    EXPECT_FALSE(contains(error_of("model:\n  hiden: 32\n"), "model.hidden: required"));
    EXPECT_EQ(error_of(kSmall, {"model.hiden=32"}),
              "command line: model.hiden=32: unknown key (did you mean 'hidden'?)");
    EXPECT_EQ(error_of(kSmall, {"model.gates=[{positon: sdpa}]"}),
              "command line: model.gates=[{positon: sdpa}]: model.gates.0.positon: unknown key (did you mean "
              "'position'?)");
    EXPECT_EQ(error_of("lr: 1\n" + kSmall), "c.yaml:1:1: lr: unknown key (did you mean 'optimizer.lr'?)");
    EXPECT_EQ(error_of(kSmall, {"sead=1"}), "command line: sead=1: unknown key (did you mean 'run.seed'?)");
    for (const char* word : {"foo", "xyz", "restart", "quit"})
        EXPECT_EQ(error_of(kSmall, {"log." + std::string(word) + "=1"}),
                  "command line: log." + std::string(word) + "=1: unknown key: known keys are every, tensorboard");
    EXPECT_TRUE(error_of("").starts_with("c.yaml:1:1: model.layers: required")) << error_of("");
    expect_refused({"optimiser.lr=1"}, "optimiser", "'optimizer'");
    expect_refused({"schedule.warmup=1"}, "schedule.warmup", "'warmup_steps'");
    expect_refused({"run.name.x=1"}, "run.name", "single value");
}

TEST(Load, ValuesOfTheWrongType) {
    for (auto text : {"two",
                      "010",
                      "-01",
                      "0x10",
                      "10_00",
                      "1_0000",
                      "_100",
                      "1__000",
                      "100_",
                      "1000_000",
                      "0_100",
                      "1e",
                      "e3",
                      "1e-3",
                      "1.5e3",
                      "1e99",
                      "1e20",
                      "1e3e3",
                      "4.0",
                      "4x",
                      "+4",
                      "'4'",
                      "true",
                      "[4]",
                      "{a: 4}",
                      "~",
                      "",
                      "512k",
                      "99999999999999999999",
                      "4 5"})
        expect_refused({std::string("model.layers=") + text}, "model.layers", "");
    for (auto text :
         {"x", "nan", ".nan", "inf", ".inf", "-inf", "0x1p3", "1,5", "1e999", "01.5", "'1'", "[1]", "1e", "+1"})
        expect_refused({std::string("optimizer.lr=") + text}, "optimizer.lr", "");
    for (auto text : {"yes", "True", "1", "on", "'true'", "~"})
        expect_refused({std::string("model.qk_norm=") + text}, "model.qk_norm", "true or false");
    expect_refused({"model=4"}, "model", "a map of keys");
    expect_refused({"model.rope=[1]"}, "model.rope", "a map of keys");
    expect_refused({"data.train={path: x}"}, "data.train", "a list");
    expect_refused({"data.train=[x]"}, "data.train.0", "a map of keys");
    expect_refused({"data.train=[~]"}, "data.train.0", "no value");
    expect_refused({"run.dir=[x]"}, "run.dir", "text");
    expect_refused({"device=gpu"}, "device", "auto, cpu, cuda");
    expect_refused({"model.gates=sdpa"}, "model.gates", "a list of gates");
    EXPECT_EQ(error_of(kSmall + "log:\n  every: two\n"),
              "c.yaml:7:10: log.every: 'two' is not an integer in decimal digits");
}

TEST(Load, NumbersAreReadToTheLastBit) {
    EXPECT_EQ(small({"optimizer.lr=4e-3"}).optimizer.lr, 4e-3);
    EXPECT_EQ(small({"optimizer.lr=0.1"}).optimizer.lr, 0.1);
    EXPECT_EQ(small({"optimizer.eps=4.9e-324"}).optimizer.eps, 4.9e-324);
    EXPECT_EQ(small({"model.rope.theta=1000000"}).model.rope.theta, 1e6);
    EXPECT_EQ(small({"run.seed=1099511627776"}).run.seed, int64_t{1} << 40);
    EXPECT_EQ(small({"run.seed=1_099_511_627_776"}).run.seed, int64_t{1} << 40);
    EXPECT_EQ(small({"run.seed=524_288"}).run.seed, 524288);
    EXPECT_EQ(small({"run.seed=2e9"}).run.seed, 2'000'000'000);
    expect_refused({"run.seed=512k"}, "run.seed", "thousands or in 1024s");
    EXPECT_EQ(small({"run.dir=007"}).run.dir, "007");
}

TEST(Load, Overrides) {
    Config c =
        small({"model.gates=[{position: value, activation: silu}]", "model.gates.0.granularity=headwise",
               "data.train=[{path: x y, weight: 2}, {path: z}]", "data.train.1.weight=3", "data.train.1.weight=4",
               "model.ffn={hidden: 64}", "sample.prompt=\"a: b\\n\"", "checkpoint.init_from="});
    ASSERT_EQ(c.model.gates.at(3).size(), 1u);
    EXPECT_EQ(c.model.gates.at(3)[0].position, Position::value);
    EXPECT_EQ(c.model.gates.at(3)[0].activation, Activation::silu);
    EXPECT_EQ(c.model.gates.at(3)[0].granularity, Granularity::headwise);
    ASSERT_EQ(c.data.train.size(), 2u);
    EXPECT_EQ(c.data.train[0].path, "x y");
    EXPECT_EQ(c.data.train[1].weight, 4);
    EXPECT_EQ(c.model.ffn.hidden, 64);
    EXPECT_EQ(c.sample.prompt, "a: b\n");
    EXPECT_EQ(c.checkpoint.init_from, "");
    EXPECT_TRUE(small({"model.gates=[{position: sdpa}]", "model.gates=[]"}).model.gates.all.empty());
    EXPECT_EQ(small({"model={layers: 2}"}).model.hidden, 32);  // a map is merged
    expect_refused({"model.gates.0.activation=silu"}, "model.gates", "no element '0'");
    expect_refused({"data.train.1.path=x"}, "data.train", "no element '1'");
    expect_refused({"data.train.-1.path=x"}, "data.train", "no element '-1'");
    expect_refused({"data.train.x.path=x"}, "data.train", "no element 'x'");
    expect_refused({"data.train.99999999999999999999.path=x"}, "data.train", "no element");
    for (auto text : {"model.layers", "=4", "model..layers=4", ".layers=4", "model.=4", ""})
        expect_refused({text}, text, "key=value");
    expect_refused({"base=x.yaml"}, "base", "in a file only");
    expect_refused({"model.layers=[4"}, "command line: model.layers=[4: ", "");
    expect_refused({"model.layers=&a 4"}, "command line: ", "anchor");
    expect_refused({"run.dir=\xFF"}, "command line: ", "UTF-8");
}

TEST(Load, OriginsOfEveryLeaf) {
    const Loaded l = load_config_text(
        "model:\n  layers: 4\n  hidden: 32\n  heads: 4\n  vocab: 9\n  ffn: {hidden: 8}\n"
        "  gates:\n  - {position: key}\ndata: {sequence_length: 4}\ntrain: {batch: 2}\n",
        "dir/name.yaml", {"train.batch=4", "data.train=[{path: x}]"}, Purpose::plan);
    EXPECT_EQ(l.origins.at("model.layers"), "dir/name.yaml:2:11");
    EXPECT_EQ(l.origins.at("model.gates.0.position"), "dir/name.yaml:8:16");
    EXPECT_EQ(l.origins.at("model.gates.0.activation"), "default");
    EXPECT_EQ(l.origins.at("model.kv_heads"), "default");
    EXPECT_EQ(l.origins.at("train.batch"), "command line");
    EXPECT_EQ(l.origins.at("data.train.0.path"), "command line");
    EXPECT_EQ(l.origins.at("data.train.0.weight"), "default");
    EXPECT_EQ(l.config.run.name, "name");
    EXPECT_EQ(l.origins.size(), flatten(l.config).size());
}

TEST(Load, GatesByLayer) {
    const Config c = small({"model.gates={2-3: [{position: key}], 0: [{position: query}, {position: value}]}"});
    EXPECT_TRUE(c.model.gates.per_layer);
    EXPECT_EQ(c.model.gates.at(0).size(), 2u);
    EXPECT_TRUE(c.model.gates.at(1).empty());
    EXPECT_EQ(c.model.gates.at(2)[0].position, Position::key);
    EXPECT_EQ(c.model.gates.at(3)[0].position, Position::key);
    EXPECT_EQ(c.model.gates.ranges[0].first, 0);
    EXPECT_EQ(small({"model.gates={0-3: [{}]}", "model.gates.0-3.0.activation=silu"}).model.gates.at(1)[0].activation,
              Activation::silu);
    EXPECT_EQ(small({"model.gates={0-3: [{}]}", "model.gates={1: [{}]}"}).model.gates.ranges.size(), 1u);
    expect_refused({"model.gates={0-4: []}"}, "model.gates.0-4", "0 to 3");
    expect_refused({"model.gates={4: []}"}, "model.gates.4", "0 to 3");
    expect_refused({"model.gates={0-2: [], 2-3: []}"}, "model.gates.2-3", "overlaps 0-2");
    expect_refused({"model.gates={1: [], 1-1: []}"}, "model.gates.1", "overlaps");
    for (auto key : {"3-1", "a", "-1", "1-", "01", "0-03", "1-2-3", "1 - 2", "*", "99999999999999999999"})
        expect_refused({std::string("model.gates={\"") + key + "\": []}"}, "model.gates", "range of layers");
    expect_refused({"model.gates={0: {position: key}}"}, "model.gates.0", "a list");
    expect_refused({"model.gates={0-1: [{activation: relu}]}"}, "model.gates.0-1.0.activation", "sigmoid, silu");
}

TEST_F(Files, BasesLieUnderneath) {
    write("root.yaml", kSmall);
    write("sub/mid.yaml", "base: ../root.yaml\nmodel: {layers: 6, rope: {theta: 500}}\ndata:\n");
    const std::string top = write("top.yaml", "base: sub/mid.yaml\nmodel:\n  rope: {factor: 2}\n  vocab: 99\n");
    const Loaded l = load_config(top, {"model.layers=7"}, Purpose::train);
    EXPECT_EQ(l.config.model.layers, 7);
    EXPECT_EQ(l.config.model.hidden, 32);
    EXPECT_EQ(l.config.model.rope.theta, 500);
    EXPECT_EQ(l.config.model.rope.factor, 2);
    EXPECT_EQ(l.config.data.sequence_length, 16);
    EXPECT_TRUE(contains(l.origins.at("model.hidden"), "root.yaml:2:"));
    EXPECT_TRUE(contains(l.origins.at("model.rope.theta"), "mid.yaml:2:"));
    EXPECT_EQ(l.origins.at("model.vocab"), top + ":4:10");
}

TEST_F(Files, BasesThatCannotBe) {
    const std::string a = write("a.yaml", "base: b.yaml\n");
    write("b.yaml", "base: sub/../a.yaml\n");
    EXPECT_TRUE(contains(error(a), "cycle")) << error(a);
    const std::string self = write("self.yaml", "base: self.yaml\n");
    EXPECT_TRUE(contains(error(self), "self.yaml:1:7: base: ")) << error(self);
    const std::string lost = write("lost.yaml", "model: {}\nbase: none.yaml\n");
    EXPECT_TRUE(contains(error(lost), "lost.yaml:2:7: base: ") && contains(error(lost), "none.yaml")) << error(lost);
    EXPECT_TRUE(contains(error(write("list.yaml", "base: [a.yaml]\n")), "give the path"));
    write("0.yaml", kSmall);
    for (int i = 1; i <= 9; i++) write(std::to_string(i) + ".yaml", "base: " + std::to_string(i - 1) + ".yaml\n");
    EXPECT_EQ(error((folder_ / "8.yaml").string()), "");
    EXPECT_TRUE(contains(error((folder_ / "9.yaml").string()), "8 files deep"));
}

TEST_F(Files, MissingConfigIsNamed) {
    const std::string lost = (folder_ / "none.yaml").string();
    EXPECT_EQ(error(lost), lost + ": no such file");
    EXPECT_TRUE(contains(error(folder_.string()), "folder"));
    EXPECT_TRUE(contains(error(write("l.yaml", "- 1\n")), "map of keys"));
}

TEST_F(Files, TheRunIsNamedAfterTheFile) {
    std::string text = kSmall;
    text.replace(0, text.find('\n'), "");
    EXPECT_EQ(load_config(write("my run.v2.yaml", text), {}, Purpose::train).config.run.name, "my run.v2");
    EXPECT_TRUE(contains(error(write(".yaml", text)), "run.name"));
}

TEST(Load, RanksShareTheBatch) {
    Config c = small();
    resolve_ranks(c, 2);
    EXPECT_EQ(c.train.micro_batch, 4);
    c = small({"train.micro_batch=2"});
    resolve_ranks(c, 2);
    EXPECT_EQ(c.train.micro_batch, 2);
    const auto error = [](const Overrides& overrides, int ranks) -> std::string {
        try {
            Config c = small(overrides);
            resolve_ranks(c, ranks);
        } catch (const Failure& e) {
            EXPECT_EQ(e.code(), Exit::config);
            return e.what();
        }
        return "";
    };
    EXPECT_TRUE(contains(error({}, 3), "use 6 or 9")) << error({}, 3);
    EXPECT_TRUE(contains(error({}, 16), "use 16")) << error({}, 16);
    EXPECT_TRUE(contains(error({"train.micro_batch=4"}, 4), "train.batch 16, or train.micro_batch 2"))
        << error({"train.micro_batch=4"}, 4);
    EXPECT_TRUE(contains(error({"train.batch=24", "train.micro_batch=8"}, 2), "use train.batch 16 or 32"));
}

TEST(Load, AStoredConfigHasNoLines) {
    const auto load = [](const std::string& text) {
        return load_config_text(text, "step/manifest.json", {"log.every=3"}, Purpose::stored);
    };
    for (const auto& [path, origin] : load(kSmall + "eval: {every: 5}\n").origins)
        EXPECT_TRUE(origin == "default" || origin == "step/manifest.json" || origin == "command line")
            << path << origin;
    const Loaded loaded = load(kSmall);
    EXPECT_EQ(loaded.origins.at("model.layers"), "step/manifest.json");
    EXPECT_EQ(loaded.origins.at("log.every"), "command line");
    EXPECT_EQ(loaded.origins.at("model.kv_heads"), "default");
    for (const auto& [text, error] : {std::pair{kSmall + "log: {evry: 3}\n", "step/manifest.json: log.evry: unknown"},
                                      {"run: {name: a}\n", "step/manifest.json: model.layers: required"},
                                      {"run: {name\n", "step/manifest.json: "}})
        try {
            load(text);
            ADD_FAILURE() << text;
        } catch (const Failure& f) { EXPECT_TRUE(std::string(f.what()).starts_with(error)) << f.what(); }
}

}  // namespace
}  // namespace sluice
