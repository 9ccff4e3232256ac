// A command line: help, and the word that was meant for what is not known.
#include "cli/command_line.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/check.h"

namespace sluice {
namespace {

struct Told {
    bool parsed = false;
    std::string out, error, config, prompt;
    int ranks = 1;
    double share = 0.5;
};

Told tell(std::vector<std::string> words) {
    Told told;
    CLI::App app("A program of tests.", "prog");
    app.require_subcommand(1);
    app.set_version_flag("--version", "prog 1");
    std::vector<std::string> overrides;
    bool json = false;
    auto* train = app.add_subcommand("train", "trains");
    train->add_option("config", told.config, "a file")->required();
    train->add_option("overrides", overrides, "key=value");
    add_number(*train, "--ranks", told.ranks, 1, 9, "ranks");
    add_number(*train, "--share", told.share, 0.0, 1.0, "a share");
    train->add_option("--prompt", told.prompt, "text");
    train->add_flag("--json", json, "as JSON");
    auto* bench = app.add_subcommand("bench", "measures");
    bench->require_subcommand(1);
    bench->add_subcommand("step", "a whole step")->add_flag("--json", json, "as JSON");
    bench->add_subcommand("kernels", "each op");
    words.insert(words.begin(), "prog");
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    testing::internal::CaptureStdout();
    try {
        told.parsed = read_command_line(app, int(argv.size()), argv.data(),
                                        {"run.seed", "train.micro_batch", "model.hidden", "model.ffn.hidden"});
    } catch (const Failure& f) {
        EXPECT_EQ(f.code(), Exit::config);
        told.error = f.what();
    }
    std::fflush(stdout);
    told.out = testing::internal::GetCapturedStdout();
    return told;
}
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(CommandLine, HelpIsPrintedWhereItIsAskedForOrNothingIs) {
    const std::string page = tell({"--help"}).out, train = tell({"train", "--help"}).out,
                      step = tell({"bench", "step", "--help"}).out;
    EXPECT_TRUE(contains(page, "Usage: prog") && contains(page, "train") && contains(page, "bench")) << page;
    EXPECT_TRUE(contains(step, "prog bench step")) << step;
    for (const auto& [words, expected] : {std::pair{std::vector<std::string>{}, page},
                                          {{"help"}, page},
                                          {{"help", "help"}, page},
                                          {{"help", "--help"}, page},
                                          {{"help", "train"}, train},
                                          {{"help", "train", "--help"}, train},
                                          {{"bench", "help", "step"}, step},
                                          {{"help", "bench", "step"}, step}}) {
        const Told told = tell(words);
        EXPECT_EQ(told.out, expected);
        EXPECT_EQ(told.error, "");
        EXPECT_FALSE(told.parsed);
    }
    EXPECT_EQ(tell({"--version"}).out, "prog 1\n");
    EXPECT_EQ(tell({"help", "trian"}).error, "unknown command 'trian' (did you mean 'train'?) (see prog --help)");
    EXPECT_TRUE(contains(tell({"help", "bench", "stp"}).error, "did you mean 'step'"));
    EXPECT_TRUE(contains(tell({"help", "train", "step"}).error, "has no command 'step'"));
}

TEST(CommandLine, UnknownWordsGetTheNearest) {
    const std::pair<std::vector<std::string>, const char*> cases[] = {
        {{"trian", "c"}, "unknown command 'trian' (did you mean 'train'?) (see prog --help)"},
        {{"bench", "stp"}, "unknown command 'stp' (did you mean 'step'?) (see prog bench --help)"},
        {{"--versoin"}, "unknown option '--versoin' (did you mean '--version'?) (see prog --help)"},
        {{"train", "--hlp"}, "unknown option '--hlp' (did you mean '--help'?) (see prog train --help)"},
        {{"train", "c", "--josn"}, "unknown option '--josn' (did you mean '--json'?) (see prog train --help)"},
        {{"train", "c", "-json"}, "unknown option '-json' (did you mean '--json'?) (see prog train --help)"},
        {{"train", "c", "--rank=3"}, "unknown option '--rank' (did you mean '--ranks'?) (see prog train --help)"},
        {{"train", "c", "--rank", "3"}, "unknown option '--rank' (did you mean '--ranks'?) (see prog train --help)"},
        {{"train", "--prompt", "--josn", "c", "--jon"}, "unknown option '--jon' (did you mean '--json'?)"},
        {{"bench", "step", "--jsn"}, "unknown option '--jsn' (did you mean '--json'?) (see prog bench step --help)"},
        {{"train", "c", "--optimizer.lr=1"}, "keys of a config have no dashes, as in optimizer.lr=1 (see"},
        {{"train", "c", "--optimizer.lr", "1"}, "keys of a config have no dashes, as in optimizer.lr=VALUE (see"},
    };
    for (const auto& [words, error] : cases) {
        const Told told = tell(words);
        EXPECT_TRUE(contains(told.error, error)) << told.error;
        EXPECT_FALSE(contains(told.error, "\n")) << told.error;
        EXPECT_EQ(told.out, "");
    }
    EXPECT_EQ(tell({"train"}).error, "config is required (see prog train --help)");
    EXPECT_EQ(tell({"bench"}).error, "name a command: step, kernels (see prog bench --help)");
    EXPECT_TRUE(contains(tell({"train", "c", "--ranks", "10"}).error, "--ranks"));
    EXPECT_TRUE(contains(tell({"train", "c", "--ranks"}).error, "--ranks"));
}

TEST(CommandLine, WhatIsFarFromAllIsOnlyUnknown) {
    const std::vector<std::vector<std::string>> lines{{"foo"},
                                                      {"xyz", "--json"},
                                                      {"help", "foo"},
                                                      {"help", "bench", "foo"},
                                                      {"bench", "foo"},
                                                      {"--foo"},
                                                      {"--seed"},
                                                      {"train", "--foo"},
                                                      {"help", "--x"},
                                                      {"train", "c", "-x"},
                                                      {"bench", "step", "--seed"}};
    for (const auto& words : lines) {
        const Told told = tell(words);
        EXPECT_TRUE(contains(told.error, "unknown ") && contains(told.error, "--help)")) << told.error;
        EXPECT_FALSE(contains(told.error, "did you mean") || contains(told.error, "keys")) << told.error;
    }
}

TEST(CommandLine, OptionsThatAreKeysAreToldHowKeysAreWritten) {
    const std::pair<std::vector<std::string>, const char*> cases[] = {
        {{"train", "c", "--seed", "3"},
         "unknown option '--seed': keys of a config have no dashes, as in run.seed=VALUE"},
        {{"train", "c", "--sead=3"}, "as in run.seed=3 (see prog train --help)"},
        {{"train", "c", "--micro-batch=3"}, "as in train.micro_batch=3 "},
        {{"train", "c", "--hidden=3"}, "as in model.hidden=3 "},
        {{"train", "c", "--rank=3"}, "did you mean '--ranks'?"},
    };
    for (const auto& [words, error] : cases) EXPECT_TRUE(contains(tell(words).error, error)) << tell(words).error;
}

TEST(CommandLine, NumbersAreNumbersWithinTheirRange) {
    const std::string page = tell({"help", "train"}).out;
    EXPECT_TRUE(contains(page, "--ranks INT, 1 to 9=1") && contains(page, "--share NUMBER, 0 to 1=0.5")) << page;
    for (const char* option : {"--ranks", "--share"})
        for (const char* word : {"nan", "-nan", "inf", "0x1", "0x1p0", "1e999", "1x", "1 ", " 1", "", " ", "01", "+1",
                                 "10", "-1", "99999999999999999999", "1,0"}) {
            const Told told = tell({"train", "c", option, word});
            EXPECT_TRUE(told.error.starts_with(std::string(option) + ": ")) << word << ": " << told.error;
            EXPECT_TRUE(contains(told.error, " is ") && !contains(told.error, "\n")) << told.error;
            EXPECT_EQ(told.ranks, 1) << word;
            EXPECT_EQ(told.share, 0.5) << word;
        }
    EXPECT_EQ(tell({"train", "c", "--share=nan"}).error,
              "--share: 'nan' is not a finite number (see prog train --help)");
    EXPECT_EQ(tell({"train", "c", "--ranks=10"}).error,
              "--ranks: 10 is out of range: use 1 to 9 (see prog train --help)");
    EXPECT_EQ(tell({"train", "c", "--ranks=9"}).ranks, 9);
    EXPECT_EQ(tell({"train", "c", "--share", "1e-3"}).share, 1e-3);
}

TEST(CommandLine, WhatIsRightIsParsed) {
    const Told told = tell({"train", "help", "a=-5", "--ranks", "3", "--prompt", "-1"});
    EXPECT_TRUE(told.parsed) << told.error;
    EXPECT_EQ(told.config, "help");
    EXPECT_EQ(told.ranks, 3);
    EXPECT_EQ(told.prompt, "-1");
    EXPECT_EQ(told.out, "");
    EXPECT_TRUE(tell({"bench", "step", "--json"}).parsed);
}

}  // namespace
}  // namespace sluice
