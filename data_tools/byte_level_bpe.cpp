#include "data_tools/byte_level_bpe.h"

#include <utf8proc.h>

#include <unordered_map>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "data_tools/byte_level_encoder.h"
#include "data_tools/nfc.h"

namespace sluice {
namespace {

constexpr size_t kLargestFile = size_t{1} << 26;
constexpr int64_t kLargestId = INT32_MAX - 1;
constexpr char kGpt2Pattern[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

using Alphabet = std::unordered_map<int32_t, uint8_t>;

// How a vocabulary writes bytes: those that print stand for themselves, the others for code points from 256 on.
Alphabet byte_of_code_points() {
    Alphabet bytes;
    int32_t next = 256;
    for (int32_t b = 0; b < 256; b++) {
        const bool prints = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        bytes[prints ? b : next++] = uint8_t(b);
    }
    return bytes;
}

std::string to_bytes(const std::string& token, const Alphabet& alphabet) {
    std::string bytes;
    for (size_t at = 0; at < token.size();) {
        utf8proc_int32_t code = -1;
        const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(token.data()) + at,
                                        utf8proc_ssize_t(token.size() - at), &code);
        const auto byte = alphabet.find(code);
        if (n < 1 || byte == alphabet.end()) throw JsonError("token '" + token + "' is not made of bytes");
        bytes += char(byte->second);
        at += size_t(n);
    }
    return bytes;
}

std::string text_or(const LargeJson& object, const char* key) {
    return object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : "";
}
bool true_in(const LargeJson& object, const char* key) {
    return object.contains(key) && object[key].is_boolean() && object[key].get<bool>();
}
int32_t id_of(const LargeJson& value) {
    const int64_t id = to_integer(value, "id");
    if (id > kLargestId || id > int64_t(4 * kLargestFile)) throw JsonError("an id of " + std::to_string(id));
    return int32_t(id);
}

// "a b", or ["a", "b"].
std::pair<std::string, std::string> merge_of(const LargeJson& merge) {
    if (merge.is_array() && merge.size() == 2) return {to_text(merge[0], "merge"), to_text(merge[1], "merge")};
    if (!merge.is_string()) throw JsonError("a merge is no pair");
    const std::string text = merge.get<std::string>();
    const size_t space = text.find(' ');
    if (space == std::string::npos) throw JsonError("merge '" + text + "' has no space");
    return {text.substr(0, space), text.substr(space + 1)};
}

void read_model(const LargeJson& json, ByteLevelModel& model) {
    if (to_text(member(json, "type"), "type") != "BPE")
        throw JsonError("model '" + text_or(json, "type") + "', not BPE");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
        if (!text_or(json, key).empty()) throw JsonError(std::string(key) + " is not supported");
    if (true_in(json, "byte_fallback")) throw JsonError("byte_fallback is not supported: only byte-level BPE is");
    if (true_in(json, "ignore_merges")) model.pairs.ignore_merges();
    const Alphabet alphabet = byte_of_code_points();
    if (!member(json, "vocab").is_object()) throw JsonError("'vocab' is not an object");
    for (const auto& [token, value] : json["vocab"].items()) {
        const int32_t id = id_of(value);
        const std::string bytes = to_bytes(token, alphabet);
        if (size_t(id) < model.bytes.size() && !model.bytes[size_t(id)].empty())
            throw JsonError("id " + std::to_string(id) + " stands twice");
        model.pairs.add_token(id, bytes);
        model.keep(id, bytes);
    }
    model.pairs.finish();
    if (!member(json, "merges").is_array()) throw JsonError("'merges' is not a list");
    for (const LargeJson& merge : json["merges"]) {
        const auto [left, right] = merge_of(merge);
        model.pairs.add_merge(to_bytes(left, alphabet), to_bytes(right, alphabet));
    }
}

void read_added(const LargeJson& json, ByteLevelModel& model) {
    if (!json.contains("added_tokens")) return;
    for (const LargeJson& token : json["added_tokens"]) {
        const int32_t id = id_of(member(token, "id"));
        const std::string content = to_text(member(token, "content"), "content");
        if (content.empty()) throw JsonError("an added token without text");
        const bool special = true_in(token, "special");
        model.keep(id, special ? "" : content);
        for (const char* key : {"lstrip", "rstrip", "single_word"})
            if (!special && true_in(token, key))
                throw JsonError("added token '" + content + "': " + key + " is not supported");
        if (special) {
            model.special.emplace_back(content, id);
            model.pairs.never_whole(id);
        } else if (token.contains("normalized") && !true_in(token, "normalized")) {
            model.added.add(content, id);
        } else {
            model.added_normalised.add(model.nfc ? nfc(content) : content, id);
        }
    }
}

void read_normaliser(const LargeJson& json, ByteLevelModel& model) {
    if (!json.contains("normalizer") || json["normalizer"].is_null()) return;
    const std::string type = to_text(member(json["normalizer"], "type"), "type");
    if (type != "NFC") throw JsonError("normalizer '" + type + "' is not supported: only NFC is");
    model.nfc = true;
}

void read_pre_tokenizer(const LargeJson& stage, ByteLevelModel& model) {
    const std::string type = to_text(member(stage, "type"), "type");
    if (type == "Sequence") {
        for (const LargeJson& inner : member(stage, "pretokenizers")) read_pre_tokenizer(inner, model);
    } else if (type == "ByteLevel") {
        if (true_in(stage, "add_prefix_space")) throw JsonError("add_prefix_space is not supported");
        if (!stage.contains("use_regex") || true_in(stage, "use_regex")) model.pre_tokenizer.add_stage(Pattern(kGpt2Pattern));
    } else if (type == "Split") {
        const std::string behaviour = to_text(member(stage, "behavior"), "behavior");
        if (behaviour != "Isolated" || true_in(stage, "invert") || !member(stage, "pattern").contains("Regex"))
            throw JsonError("Split is supported with a Regex, behavior Isolated, and not inverted");
        model.pre_tokenizer.add_stage(Pattern(to_text(stage["pattern"]["Regex"], "Regex")));
    } else {
        throw JsonError("pre_tokenizer '" + type + "' is not supported: ByteLevel, Split and Sequence are");
    }
}

}  // namespace

std::unique_ptr<Tokenizer> open_byte_level_bpe(const std::string& path, const std::string& delimiter) {
    const std::string text = read_file(path, int(Exit::data), kLargestFile, Links::follow);
    try {
        const LargeJson json = parse_large_json(text);
        ByteLevelModel model;
        read_model(member(json, "model"), model);
        read_normaliser(json, model);
        read_added(json, model);
        read_pre_tokenizer(member(json, "pre_tokenizer"), model);
        return std::make_unique<ByteLevelEncoder>(std::move(model), delimiter);
    } catch (const std::runtime_error& e) {  // a JsonError, or a pattern that fails
        fail(Exit::data, path + ": " + e.what());
    }
}

}  // namespace sluice
