#include "text/byte_level_bpe.h"

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "text/byte_alphabet.h"
#include "text/byte_level_encoder.h"
#include "text/json_pre_tokenizer.h"
#include "text/nfc.h"

namespace sluice {
namespace {

constexpr size_t kLargestFile = size_t{1} << 26;
constexpr int64_t kLargestId = INT32_MAX - 1;
std::string text_or(const LargeJson& object, const char* key) {
    return object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : "";
}
int32_t id_of(const LargeJson& value) {
    const int64_t id = to_integer(value, "id");
    if (id > kLargestId || id > int64_t(4 * kLargestFile)) throw JsonError("an id of " + std::to_string(id));
    return int32_t(id);
}

// The two tokens of a merge, which is written "a b" or ["a", "b"].
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
    if (json.contains("dropout") && json["dropout"].is_number() && json["dropout"].get<double>() != 0)
        throw JsonError("dropout is not supported: the same text would have other ids each time");
    if (true_in(json, "ignore_merges")) model.pairs.ignore_merges();
    if (!member(json, "vocab").is_object()) throw JsonError("'vocab' is not an object");
    for (const auto& [token, value] : json["vocab"].items()) {
        const int32_t id = id_of(value);
        const std::string bytes = from_byte_alphabet(token);
        if (size_t(id) < model.bytes.size() && !model.bytes[size_t(id)].empty())
            throw JsonError("id " + std::to_string(id) + " stands twice");
        model.pairs.add_token(id, bytes);
        model.keep(id, bytes);
    }
    model.pairs.finish();
    if (!member(json, "merges").is_array()) throw JsonError("'merges' is not a list");
    for (const LargeJson& merge : json["merges"]) {
        const auto [left, right] = merge_of(merge);
        model.pairs.add_merge(from_byte_alphabet(left), from_byte_alphabet(right));
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
    if (json.is_null()) return;
    const std::string type = to_text(member(json, "type"), "type");
    if (type == "Sequence") {
        for (const LargeJson& inner : member(json, "normalizers")) read_normaliser(inner, model);
    } else if (type == "NFC") {
        model.nfc = true;
    } else {
        throw JsonError("normalizer '" + type + "' is not supported: only NFC is");
    }
}

}  // namespace

std::unique_ptr<Tokenizer> open_byte_level_bpe(const std::string& path, const std::string& delimiter) {
    const std::string text = read_file(path, int(Exit::data), kLargestFile, Links::follow);
    try {
        const LargeJson json = parse_large_json(text);
        ByteLevelModel model;
        read_model(member(json, "model"), model);
        if (json.contains("normalizer")) read_normaliser(json["normalizer"], model);
        read_added(json, model);
        read_pre_tokenizer(member(json, "pre_tokenizer"), model);
        return std::make_unique<ByteLevelEncoder>(std::move(model), delimiter);
    } catch (const std::runtime_error& e) {  // a JsonError, or a pattern that is not supported
        fail(Exit::data, path + ": " + e.what());
    }
}

}  // namespace sluice
