// The folder of a run: its steps, what lies there, and data for it.
#pragma once
#include <algorithm>

#include "apps/program.h"

namespace sluice {

class RunFolder : public Program {
 protected:
    fs::path checkpoints(const std::string& name = "a") { return folder_ / "runs" / name / "checkpoints"; }
    fs::path step(int64_t n, const std::string& name = "a") {
        char text[24];
        std::snprintf(text, sizeof text, "step-%08lld", (long long)n);
        return checkpoints(name) / text;
    }
    static std::vector<std::string> names(const fs::path& folder) {
        std::vector<std::string> names;
        for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
        std::sort(names.begin(), names.end());
        return names;
    }
    static bool has(const std::string& text, const std::string& word) { return text.find(word) != std::string::npos; }
    void shard(const std::string& name, int64_t samples, int32_t seed) {
        std::vector<int32_t> tokens(size_t(16 * samples + 1));
        for (size_t i = 0; i < tokens.size(); i++) tokens[i] = int32_t((i * i + size_t(seed) * i) % 97);
        fs::create_directories((folder_ / name).parent_path());
        write_shard(folder_ / name, tokens, 97);
    }
};

}  // namespace sluice
