// Words that are near enough to be meant, and words that are not.
#include "base/nearest.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

const std::vector<std::string> kKnown{"train", "eval",         "sample", "plan", "config", "runs",
                                      "bench", "warmup_steps", "lr",     "help", "seed"};

TEST(Nearest, ATypingErrorIsNear) {
    for (const auto& [word, meant] : {std::pair{"trian", "train"},
                                      {"tran", "train"},
                                      {"traain", "train"},
                                      {"evla", "eval"},
                                      {"smaple", "sample"},
                                      {"run", "runs"},
                                      {"sead", "seed"},
                                      {"rl", "lr"},
                                      {"cnofgi", "config"},
                                      {"warmup_stpe", "warmup_steps"}})
        EXPECT_EQ(nearest(word, kKnown), meant) << word;
}

TEST(Nearest, APartIsNear) {
    for (const auto& [word, meant] : {std::pair{"warmup", "warmup_steps"},
                                      {"steps", "warmup_steps"},
                                      {"evaluate", "eval"},
                                      {"training", "train"},
                                      {"random_seed", "seed"},
                                      {"conf", "config"}})
        EXPECT_EQ(nearest(word, kKnown), meant) << word;
    EXPECT_EQ(nearest("plan", {"planned", "plans"}), "plans") << "the nearer of two";
    EXPECT_EQ(nearest("plam", {"plan", "play"}), "plan") << "the first of equals";
}

TEST(Nearest, WhatIsFarIsNotOffered) {
    for (const char* word : {"foo", "bar", "xyz", "hello", "restart", "version", "quit", "l", "x", "", "-", "rainbow",
                             "wa", "ain", "evolve", "chunk", "export", "bunting"})
        EXPECT_EQ(nearest(word, kKnown), "") << word;
    EXPECT_EQ(nearest("x", {"y"}), "") << "a letter replaced is another word";
    EXPECT_EQ(nearest("train", {}), "");
}

TEST(Nearest, PathsGoByTheirLastPart) {
    const std::vector<std::string> paths{"model",       "model.hidden", "model.ffn.hidden",
                                         "train.steps", "run.seed",     "schedule.warmup_steps"};
    EXPECT_EQ(nearest_path("hidden", paths), "model.hidden");
    EXPECT_EQ(nearest_path("steps", paths), "train.steps");
    EXPECT_EQ(nearest_path("sead", paths), "run.seed");
    EXPECT_EQ(nearest_path("warmup", paths), "schedule.warmup_steps");
    EXPECT_EQ(nearest_path("schedule", paths), "");
    EXPECT_EQ(nearest_path("foo", paths), "");
}

}  // namespace
}  // namespace sluice
