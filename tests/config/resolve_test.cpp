// What a config leaves to others: steps to tokens or epochs, the vocabulary to the data.
#include "config/resolve.h"

#include "config/text.h"

namespace sluice {
namespace {

// kSmall without a part of it.
std::string without(const std::string& part) {
    std::string text = kSmall;
    text.replace(text.find(part), part.size(), "");
    return text;
}
const std::string kNoSteps = without("steps: 10, "), kNoVocab = without("vocab: 256, ");

DataFacts facts(int64_t vocab, int64_t samples, const std::string& foreign = "") {
    return {[=](const DataSpec&) {
                return DataFacts::Vocab{vocab, foreign};
            },
            [=](const DataSpec&) { return samples; }};
}
DataFacts no_data() {
    return {[](const DataSpec&) -> DataFacts::Vocab { fail(Exit::data, "a.bin: no such file"); },
            [](const DataSpec&) -> int64_t { fail(Exit::data, "a.bin: no such file"); }};
}

Loaded load(const std::string& text, const Overrides& overrides, const DataFacts& facts = {},
            Purpose purpose = Purpose::train) {
    return load_config_text(text, "c.yaml", overrides, purpose, 0, facts);
}
int64_t steps(const Overrides& overrides, const DataFacts& facts = {}) {
    return load(kNoSteps, overrides, facts).config.train.steps;
}
std::string failure(const std::string& text, const Overrides& overrides, const DataFacts& facts, Exit code,
                    Purpose purpose = Purpose::train) {
    try {
        load(text, overrides, facts, purpose);
    } catch (const Failure& f) {
        EXPECT_EQ(f.code(), code) << f.what();
        return f.what();
    }
    return "";
}

TEST(Resolve, TokensRoundUpToWholeSteps) {  // a step is 8 x 16 tokens
    for (const auto& [tokens, expected] : {std::pair{"1", 1}, {"128", 1}, {"129", 2}, {"1_280", 10}, {"2e6", 15625}})
        EXPECT_EQ(steps({std::string("train.tokens=") + tokens}), expected) << tokens;
    EXPECT_EQ(steps({"train.tokens=9007199254740992", "train.batch=1048576"}), 536870912);
    expect_refused({"train.steps=null", "train.tokens=9007199254740992"}, "train.tokens", "1099511627776 steps");
    for (const char* tokens : {"0", "-1", "1.5", "many", "9007199254740993000"})
        expect_refused({"train.steps=null", std::string("train.tokens=") + tokens}, "train.tokens", ": ");
}

// What a run goes on from answers for data that no longer can.
TEST(Resolve, ACheckpointKeepsItsVocabularyAndLength) {
    DataFacts gone = no_data(), other = facts(120, 100), foreign = facts(0, 100, "b.bin"), same = facts(256, 100);
    for (DataFacts* f : {&gone, &other, &foreign, &same})
        f->before = [](const Config& config) -> std::optional<Config> {
            EXPECT_EQ(config.run.name, "small");
            return load(kSmall, {}).config;
        };
    for (const auto& [facts, expected] : {std::pair{gone, "the data do not record it"},
                                          {other, "the data record 120"},
                                          {foreign, "the data do not record it"},
                                          {same, ""}}) {
        const Loaded loaded = load(kNoVocab, {}, facts);
        EXPECT_EQ(loaded.config.model.vocab, 256);
        const std::string all = loaded.warnings.empty() ? "" : loaded.warnings.back();
        EXPECT_NE(all.find(expected), std::string::npos) << all;
        EXPECT_EQ(all.find("256, of the checkpoint") != std::string::npos, *expected != 0) << all;
    }
    EXPECT_EQ(steps({"train.epochs=1"}, gone), 10) << "the checkpoint's";
    EXPECT_EQ(steps({"train.epochs=1"}, other), 13);
    other.before = [](const Config&) { return std::optional<Config>(); };
    EXPECT_EQ(load(kNoVocab, {}, other).config.model.vocab, 120);
    EXPECT_NE(failure(kNoVocab, {"data.delimiter=256"}, same, Exit::config).find("data.delimiter"), std::string::npos);
}

TEST(Resolve, EpochsRoundUpToWholeSteps) {
    for (const auto& [epochs, expected] : {std::pair{"1", 13}, {"0.5", 7}, {"0.001", 1}, {"2", 25}, {"8", 100}})
        EXPECT_EQ(steps({std::string("train.epochs=") + epochs}, facts(256, 100)), expected) << epochs;
    EXPECT_EQ(steps_of_epochs(1.1, 10, 1), 11);  // 1.1 * 10 is a little above
    EXPECT_EQ(steps_of_epochs(3, (int64_t{1} << 50) + 1, 1), 3 * ((int64_t{1} << 50) + 1));
    EXPECT_EQ(steps_of_epochs(1, 17, 16), 2);
    const std::string error = failure(kNoSteps, {"train.epochs=1e300"}, facts(256, 100), Exit::config);
    EXPECT_TRUE(contains(error, "train.epochs=1e300") && contains(error, "steps")) << error;
    expect_refused({"train.steps=null", "train.epochs=0"}, "train.epochs", "above 0");
}

TEST(Resolve, OneOfStepsTokensAndEpochs) {
    EXPECT_TRUE(
        contains(error_of(kNoSteps), "train.steps: required, but not given (or train.tokens, or train.epochs)"));
    EXPECT_EQ(error_of(kNoSteps, {}, Purpose::plan), "");
    EXPECT_EQ(error_of(kSmall, {"train.tokens=128"}),
              "command line: train.tokens=128: given beside train.steps (c.yaml:4:16): give one of them; "
              "train.steps=null withdraws the other");
    expect_refused({"train.epochs=2"}, "train.epochs", "given beside train.steps");
    EXPECT_TRUE(contains(error_of(kNoSteps, {"train.tokens=128", "train.epochs=1"}), "given beside train.tokens"));
    EXPECT_EQ(load(kSmall, {"train.steps=null", "train.tokens=256"}).config.train.steps, 2);
    EXPECT_EQ(load(kSmall, {"train.steps=~", "train.epochs=1"}, facts(256, 80)).config.train.steps, 10);
    EXPECT_TRUE(contains(error_of(kSmall, {"train.steps=null"}), "required"));
    // A value that is missing is no null.
    const std::string empty = "train:\n  steps:\n  batch: 8\n";
    EXPECT_TRUE(
        contains(error_of(without("train: {steps: 10, batch: 8}\n") + empty), "c.yaml:6:9: train.steps: has no"));
    EXPECT_TRUE(contains(error_of(kNoSteps + "log: {}\n", {"train={tokens: }"}), "train.tokens: has no value"));
}

TEST(Resolve, AResolvedConfigHoldsStepsAlone) {
    for (const auto& override : {"train.tokens=1281", "train.epochs=1.1"}) {
        const Loaded loaded = load(kNoSteps, {override}, facts(256, 80));
        EXPECT_EQ(loaded.config.train.steps, 11);
        EXPECT_FALSE(loaded.config.train.tokens || loaded.config.train.epochs);
        EXPECT_TRUE(contains(loaded.origins.at("train.steps"), "command line")) << loaded.origins.at("train.steps");
        EXPECT_TRUE(contains(loaded.origins.at("train.steps"), std::string(override).substr(0, 12)));
        const Config again = load(dump_yaml(loaded.config), {}).config;
        EXPECT_EQ(flatten(again), flatten(loaded.config));
        EXPECT_EQ(flatten(again), flatten(load(kNoSteps, {"train.steps=11"}).config));  // the same course
    }
}

TEST(Resolve, APlanDoesWithoutTheStepsOfEpochs) {
    const Loaded open = load(kNoSteps, {"train.epochs=2"}, no_data(), Purpose::plan);
    ASSERT_EQ(open.warnings.size(), 1u);
    EXPECT_TRUE(contains(open.warnings[0], "train.epochs=2: the number of steps is not known: a.bin: no such file"));
    EXPECT_TRUE(contains(dump_yaml(open.config), "steps: null\n"));
    EXPECT_TRUE(contains(dump_yaml(open.config), "epochs: 2\n"));
    EXPECT_EQ(load(dump_yaml(open.config), {}, facts(256, 80)).config.train.steps, 20);
    EXPECT_TRUE(contains(failure(kNoSteps, {"train.epochs=2"}, no_data(), Exit::data), "a.bin"));
    EXPECT_EQ(load(kNoSteps, {"train.epochs=2", "data.train=[]"}, facts(256, 1), Purpose::plan).warnings.size(), 1u);
}

TEST(Resolve, TheVocabularyMayBeTheDatas) {
    const Loaded loaded = load(kNoVocab, {}, facts(4096, 1));
    EXPECT_EQ(loaded.config.model.vocab, 4096);
    EXPECT_EQ(loaded.origins.at("model.vocab"), "the data");
    EXPECT_TRUE(contains(dump_yaml(loaded.config), "vocab: 4096"));
    EXPECT_EQ(load(kSmall, {"model.vocab=null"}, facts(4096, 1)).config.model.vocab, 4096);
    EXPECT_EQ(load(kSmall, {}, facts(4096, 1)).config.model.vocab, 256);  // given: nobody is asked
    EXPECT_EQ(load(kSmall, {}, no_data()).config.model.vocab, 256);

    std::string error = failure(kNoVocab, {}, facts(0, 1, "foreign.bin"), Exit::config);
    EXPECT_TRUE(contains(error, "model.vocab: required") && contains(error, "foreign.bin")) << error;
    error = failure(kNoVocab, {}, no_data(), Exit::data);
    EXPECT_TRUE(contains(error, "a.bin") && contains(error, "model.vocab")) << error;
    error = failure(kNoVocab, {"data.train=[]"}, facts(9, 1), Exit::config, Purpose::plan);
    EXPECT_TRUE(contains(error, "model.vocab: required") && contains(error, "no data")) << error;
    error = failure(kNoVocab, {"data.delimiter=4096"}, facts(4096, 1), Exit::config);
    EXPECT_TRUE(contains(error, "data.delimiter=4096") && contains(error, "4097")) << error;
    for (const int64_t size : {int64_t{0}, int64_t{1}, int64_t{1} << 31})
        EXPECT_TRUE(contains(failure(kNoVocab, {}, facts(size, 1), Exit::config), "model.vocab")) << size;
    // Errors of the config are reported first.
    error = failure(kNoVocab, {"model.hiden=3"}, no_data(), Exit::config);
    EXPECT_TRUE(contains(error, "hidden") && !contains(error, "a.bin")) << error;
}

}  // namespace
}  // namespace sluice
