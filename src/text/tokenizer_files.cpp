#include "text/tokenizer_files.h"

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr size_t kLargestTokenizer = size_t{1} << 28;  // bytes

}  // namespace

std::vector<fs::path> tokenizer_files(const std::string& name) {
    const fs::path path(name);
    const std::string file = path.filename().string();
    for (const auto& [vocabulary, merges] : {std::pair<std::string, std::string>{"encoder.json", "vocab.bpe"},
                                             std::pair<std::string, std::string>{"vocab.json", "merges.txt"}})
        for (const std::string& named : {vocabulary, merges}) {
            if (!file.ends_with(named)) continue;
            const std::string before = file.substr(0, file.size() - named.size());
            std::vector<fs::path> pair{path.parent_path() / (before + vocabulary),
                                       path.parent_path() / (before + merges)};
            if (fs::exists(pair[0]) && fs::exists(pair[1])) return pair;
        }
    return {path};
}

std::string fingerprint_of(const std::string& tokenizer) {
    if (tokenizer == "bytes") return tokenizer;
    Hash hash;
    const auto files = tokenizer_files(tokenizer);
    for (const fs::path& file : files) {
        const std::string text = read_file(file, int(Exit::data), kLargestTokenizer, Links::follow);
        if (files.size() > 1)
            hash.add(text);
        else
            hash.add(text.data(), text.size());
    }
    return hash.hex();
}

}  // namespace sluice
