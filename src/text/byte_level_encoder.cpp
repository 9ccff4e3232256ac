#include "text/byte_level_encoder.h"

#include <algorithm>
#include <stdexcept>
#include <unordered_map>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/new_characters.h"
#include "text/nfc.h"

namespace sluice {
namespace {

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

}  // namespace

void ByteLevelModel::keep(int32_t id, const std::string& text) {
    if (size_t(id) >= bytes.size()) bytes.resize(size_t(id) + 1);
    bytes[size_t(id)] = text;
}

ByteLevelEncoder::ByteLevelEncoder(ByteLevelModel model, const std::string& delimiter) : model_(std::move(model)) {
    if (!model_.pre_tokenizer.splits() && !model_.pairs.ignores_merges())
        across_ = std::make_unique<TokensAcross>(model_.pairs.tokens());
    delimiter_ = choose_delimiter(delimiter);
}

int32_t ByteLevelEncoder::choose_delimiter(const std::string& wanted) const {
    const std::vector<std::string> usual{"<|endoftext|>",
                                         "<|begin_of_text|>",
                                         "<s>",
                                         "</s>",
                                         "<bos>",
                                         "[BOS]",
                                         "<\uff5cbegin\u2581of\u2581sentence\uff5c>"};
    for (const auto& name : wanted.empty() ? usual : std::vector<std::string>{wanted})
        for (const auto& [text, id] : model_.special)
            if (text == name) {
                if (can_be_written(id))
                    throw std::runtime_error("'" + name + "' is a token of text too, so that documents could forge " +
                                             "their end: choose another delimiter");
                return id;
            }
    std::string known;
    for (const auto& [text, id] : model_.special) known += (known.empty() ? "" : ", ") + text;
    throw std::runtime_error(
        "no special token " + (wanted.empty() ? "that usually begins documents" : "'" + wanted + "'") +
        ": choose a delimiter among " + (known.empty() ? "its special tokens (it has none)" : known));
}

// Whether encode() can return this id.
bool ByteLevelEncoder::can_be_written(int32_t id) const {
    return model_.added.has(id) || model_.added_normalised.has(id) || model_.pairs.makes(id);
}

std::string ByteLevelEncoder::decode(const std::vector<int32_t>& ids) const {
    std::string text;
    for (const int32_t id : ids)
        if (id >= 0 && size_t(id) < model_.bytes.size()) text += model_.bytes[size_t(id)];
    return text;
}

bool ByteLevelEncoder::has(int32_t id) const {
    const auto is_id = [&](const auto& token) { return token.second == id; };
    return id >= 0 && size_t(id) < model_.bytes.size() &&
           (!model_.bytes[size_t(id)].empty() || std::any_of(model_.special.begin(), model_.special.end(), is_id));
}

std::vector<int32_t> ByteLevelEncoder::encode(std::string_view text) const {
    refuse_invalid_utf8(text);
    warn_of_new_characters(text);
    std::vector<int32_t> ids;
    ids.reserve(text.size() / 3);
    model_.added.split(
        text, [&](std::string_view plain) { encode_plain(plain, ids); }, [&](int32_t id) { ids.push_back(id); });
    return ids;
}

void ByteLevelEncoder::encode_plain(std::string_view text, std::vector<int32_t>& ids) const {
    std::string normalised;
    if (model_.nfc && !is_ascii(text)) text = normalised = nfc(text);
    model_.added_normalised.split(
        text,
        [&](std::string_view plain) {
            model_.pre_tokenizer.split(plain, [&](std::string_view word) { encode_word(word, ids); });
        },
        [&](int32_t id) { ids.push_back(id); });
}

void ByteLevelEncoder::encode_word(std::string_view word, std::vector<int32_t>& ids) const {
    if (!model_.byte_pre_tokenizer.splits()) return model_.pairs.encode(word, ids);
    model_.byte_pre_tokenizer.split(to_byte_alphabet(word),
                                    [&](std::string_view part) { model_.pairs.encode(from_byte_alphabet(part), ids); });
}

// After the last added token: at the end of a word there, else directly after the token.
size_t ByteLevelEncoder::cut(std::string_view text) const {
    const auto open = model_.added.open_end(text);
    return open.begin + cut_plain(text.substr(open.begin, open.end - open.begin));
}

// The offset from which split points are tried: near the end of a text of this size.
size_t window_of(size_t size) { return size - std::max(size / 16, std::min(size / 2, size_t{1} << 16)); }

size_t ByteLevelEncoder::cut_plain(std::string_view text) const {
    const auto anywhere = [](size_t) { return true; };
    if (!model_.nfc) return cut_normalised(text, window_of(text.size()), anywhere);
    if (text.size() < 2) return 0;
    // The last character is left out: it may compose with what follows.
    if (is_ascii(text)) return cut_normalised(text.substr(0, text.size() - 1), window_of(text.size() - 1), anywhere);
    // The window is normalised in the smallest slices that can be normalised alone. Split points are the ends of
    // slices, since for these the offsets in both texts are known.
    const auto slice_start = [&](size_t at) {
        while (at > 0 && !(begins_character(text[at]) && nfc_begins(character_at(text, at)))) at--;
        return at;
    };
    const size_t end = slice_start(text.size() - 1), from = slice_start(window_of(end));
    std::string normalised = nfc(text.substr(0, from));
    const size_t window = normalised.size();
    std::unordered_map<size_t, size_t> in_text{{window, from}};  // offset by that in the normalised text
    for (size_t at = from; at < end;) {
        size_t next = at + 1;
        while (next < end && !(begins_character(text[next]) && nfc_begins(character_at(text, next)))) next++;
        normalised += nfc(text.substr(at, next - at));
        in_text[normalised.size()] = at = next;
    }
    const size_t split = cut_normalised(normalised, window, [&](size_t at) { return in_text.contains(at); });
    return split == 0 ? 0 : in_text.at(split);
}

size_t ByteLevelEncoder::cut_normalised(std::string_view text, size_t from, const Accepted& accepted) const {
    const auto open = model_.added_normalised.open_end(text);
    const auto rest = text.substr(open.begin, open.end - open.begin);
    const auto accepted_in_rest = [&](size_t at) { return accepted(open.begin + at); };
    const size_t window = std::min(from - std::min(from, open.begin), window_of(rest.size()));
    size_t split = 0;
    if (model_.pre_tokenizer.splits())
        split = model_.pre_tokenizer.cut(rest, window, accepted_in_rest);
    else if (across_)  // null with ignore_merges: there the end of a long word, alone, could be a token
        split = cut_word(rest, window, accepted_in_rest);
    if (split > 0) return open.begin + split;
    return open.begin > 0 && accepted(open.begin) ? open.begin : 0;
}

// Without patterns a text is one word, which can be split at an offset that no token spans.
size_t ByteLevelEncoder::cut_word(std::string_view text, size_t from, const Accepted& accepted) const {
    constexpr size_t kMostTried = 1 << 13;  // offsets
    const size_t least = std::max(std::max<size_t>(from, 1), text.size() - std::min(text.size(), kMostTried));
    for (size_t at = text.size(); at-- > least;)
        if (begins_character(text[at]) && accepted(at) && !across_->at(text, at)) return at;
    return 0;
}

}  // namespace sluice
