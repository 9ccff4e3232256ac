#include "text/tokenizer_kind.h"

#include <algorithm>
#include <string_view>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "text/tiktoken.h"
#include "text/tokenizer_files.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr size_t kLargestOfAnyKind = size_t{1} << 28;

struct Beginning {
    std::string_view bytes;
    const char* what;
};
// Files that are often found where a tokenizer is expected.
constexpr Beginning kOthers[] = {{"version https://git-lfs", "a Git LFS pointer, not the file itself: git lfs pull"},
                                 {"<!DOCTYPE", "a web page"},
                                 {"<html", "a web page"},
                                 {"\x1f\x8b", "compressed by gzip: decompress it"},
                                 {"\x28\xb5\x2f\xfd", "compressed by zstd: decompress it"},
                                 {"\xfd"
                                  "7zXZ",
                                  "compressed by xz: decompress it"},
                                 {"BZh", "compressed by bzip2: decompress it"},
                                 {"PK\x03\x04", "a zip archive"},
                                 {"GGUF", "a GGUF file"},
                                 {"\x80\x04", "a Python pickle"}};

std::string names_of(const LargeJson& json) {
    std::string names;
    size_t listed = 0;
    for (const auto& [key, value] : json.items()) {
        if (listed++ == 4) return names + " ...";
        names += (names.empty() ? "" : ", ") + key;
    }
    return names;
}

// A vocabulary of a pair needs the other file.
TokenizerKind kind_of_json(const fs::path& path, const std::string& text) {
    LargeJson json;
    try {
        json = parse_large_json(text);
    } catch (const JsonError& e) { fail(Exit::data, path.string() + ": " + e.what()); }
    if (!json.is_object()) refuse_tokenizer(path, "JSON without an object");
    if (json.contains("model") && json["model"].is_object()) return TokenizerKind::tokenizer_json;
    const auto is_id = [](const LargeJson& value) { return value.is_number_integer(); };
    if (json.empty() || !std::all_of(json.begin(), json.end(), is_id))
        refuse_tokenizer(path, "JSON with no 'model' (there are: " + names_of(json) + ")");
    if (tokenizer_files(path.string()).size() == 1)
        refuse_tokenizer(path,
                         "a vocabulary without its merges beside it (vocab.bpe for encoder.json, merges.txt for "
                         "vocab.json)");
    return TokenizerKind::gpt2_pair;
}

bool looks_like_merges(const std::string& text) {
    if (text.starts_with("#version")) return true;
    const std::string line = text.substr(0, text.find('\n'));
    return std::count(line.begin(), line.end(), ' ') == 1 && line.front() != ' ' && line.back() != ' ';
}

std::string kinds_in(const fs::path& folder) {
    std::string found;
    for (const char* name : {"tokenizer.json", "tokenizer.model", "vocab.bpe", "merges.txt"})
        if (fs::exists(folder / name)) found += (found.empty() ? "" : ", ") + std::string(name);
    return found.empty() ? "a folder" : "a folder: name its " + found;
}

}  // namespace

void refuse_tokenizer(const fs::path& path, const std::string& what_it_is) {
    fail(Exit::data, path.string() + ": " + what_it_is +
                         ". A tokenizer is 'bytes', a SentencePiece model, a tokenizer.json with byte-level BPE, a "
                         "published .tiktoken file, or GPT-2's encoder.json with vocab.bpe");
}

TokenizerKind tokenizer_kind(const fs::path& path) {
    if (fs::is_directory(path)) refuse_tokenizer(path, kinds_in(path));
    const std::string text = read_file(path, int(Exit::data), kLargestOfAnyKind, Links::follow);
    if (text.empty()) refuse_tokenizer(path, "an empty file");
    for (const Beginning& other : kOthers)
        if (text.starts_with(other.bytes)) refuse_tokenizer(path, other.what);
    const size_t first = text.find_first_not_of(" \t\r\n");
    // A SentencePiece model begins with a line feed, the tag of its first field, and is no text.
    const bool is_text = valid_utf8(text) && text.find('\0') == std::string::npos;
    if (first != std::string::npos && (text[first] == '{' || text[first] == '[') && is_text)
        return kind_of_json(path, text);
    if (looks_like_tiktoken(text)) return TokenizerKind::tiktoken;
    if (!is_text) return TokenizerKind::sentencepiece;
    if (!looks_like_merges(text)) refuse_tokenizer(path, "text of another kind");
    if (tokenizer_files(path.string()).size() == 1)
        refuse_tokenizer(path,
                         "merges without their vocabulary beside them (encoder.json for vocab.bpe, vocab.json "
                         "for merges.txt)");
    return TokenizerKind::gpt2_pair;
}

}  // namespace sluice
