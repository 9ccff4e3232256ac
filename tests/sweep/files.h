// A folder with the config that sweeps of tests have as their base, and what reading a sweep says.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/check.h"
#include "support/folder.h"
#include "sweep/points.h"

namespace sluice {

namespace fs = std::filesystem;

class SweepFiles : public testing::Test {
 protected:
    void SetUp() override {
        write("base.yaml", R"(model: {layers: 2, hidden: 64, heads: 4, vocab: 97, ffn: {hidden: 128}}
data: {sequence_length: 16}
train: {steps: 100, batch: 4}
optimizer: {lr: 0.01}
)");
        write("gate.yaml", "model:\n  gates: [{position: sdpa}]\n");
    }
    std::string path(const std::string& name) const { return (folder_ / name).string(); }
    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(folder_ / name) << text;
        return path(name);
    }
    // text: after `base`, in which GATE stands for the fragment's path.
    SweepSpec read(std::string text, const std::vector<std::string>& overrides = {}) const {
        for (size_t at; (at = text.find("GATE")) != std::string::npos;) text.replace(at, 4, path("gate.yaml"));
        return read_sweep(write("s.yaml", "base: base.yaml\n" + text), overrides);
    }
    Judged judged(const std::string& text, const std::vector<std::string>& overrides = {}) const {
        return judge(read(text, overrides), Purpose::plan);
    }
    // The lines of the error, without the folder's name; "" where there is none.
    std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) const {
        std::string lines;
        try {
            judged(text, overrides);
        } catch (const Failure& f) {
            EXPECT_EQ(f.code(), Exit::config);
            lines = f.what();
        }
        const std::string own = folder_.path().string() + "/";
        for (size_t at; (at = lines.find(own)) != std::string::npos;) lines.erase(at, own.size());
        return lines;
    }
    static bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
    Folder folder_;
};

}  // namespace sluice
