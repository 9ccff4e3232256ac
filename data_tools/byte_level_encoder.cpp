#include "data_tools/byte_level_encoder.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "base/check.h"
#include "base/yaml.h"

namespace sluice {
namespace {

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

std::string nfc(std::string_view text) {
    utf8proc_uint8_t* out = nullptr;
    const auto options = utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    const auto n = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), utf8proc_ssize_t(text.size()),
                                &out, options);
    if (n < 0) fail(Exit::data, std::string("cannot be normalised: ") + utf8proc_errmsg(n));
    std::string normalised(reinterpret_cast<char*>(out), size_t(n));
    std::free(out);
    return normalised;
}

}  // namespace

void ByteLevelModel::keep(int32_t id, const std::string& text) {
    if (size_t(id) >= bytes.size()) bytes.resize(size_t(id) + 1);
    bytes[size_t(id)] = text;
}

ByteLevelEncoder::ByteLevelEncoder(ByteLevelModel model, const std::string& delimiter) : model_(std::move(model)) {
    std::stable_sort(model_.added.begin(), model_.added.end(),
                     [](auto& a, auto& b) { return a.first.size() > b.first.size(); });  // the longest first
    for (const auto& [text, id] : model_.added) begins_added_[uint8_t(text[0])] = true;
    delimiter_ = choose_delimiter(delimiter);
}

int32_t ByteLevelEncoder::choose_delimiter(const std::string& wanted) const {
    const std::vector<std::string> usual{"<|endoftext|>", "<|begin_of_text|>", "<s>", "</s>"};
    for (const auto& name : wanted.empty() ? usual : std::vector<std::string>{wanted})
        for (const auto& [text, id] : model_.special)
            if (text == name) return id;
    std::string known;
    for (const auto& [text, id] : model_.special) known += (known.empty() ? "" : ", ") + text;
    throw std::runtime_error(
        "no special token " + (wanted.empty() ? "that usually begins documents" : "'" + wanted + "'") +
        ": choose a delimiter among " + (known.empty() ? "its special tokens (it has none)" : known));
}

std::string ByteLevelEncoder::decode(const std::vector<int32_t>& ids) const {
    std::string text;
    for (const int32_t id : ids)
        if (id >= 0 && size_t(id) < model_.bytes.size()) text += model_.bytes[size_t(id)];
    return text;
}

std::vector<int32_t> ByteLevelEncoder::encode(std::string_view text) const {
    if (!is_ascii(text) && !valid_utf8(std::string(text))) fail(Exit::data, "the text is not valid UTF-8");
    std::vector<int32_t> ids;
    ids.reserve(text.size() / 3);
    size_t plain = 0;
    for (size_t at = 0; !model_.added.empty() && at < text.size(); at++) {
        if (!begins_added_[uint8_t(text[at])]) continue;
        const auto found = std::find_if(model_.added.begin(), model_.added.end(), [&](const auto& token) {
            return text.compare(at, token.first.size(), token.first) == 0;
        });
        if (found == model_.added.end()) continue;
        encode_plain(text.substr(plain, at - plain), ids);
        ids.push_back(found->second);
        plain = at + found->first.size();
        at = plain - 1;
    }
    encode_plain(text.substr(plain), ids);
    return ids;
}

void ByteLevelEncoder::encode_plain(std::string_view text, std::vector<int32_t>& ids) const {
    if (model_.nfc && !is_ascii(text))
        split(nfc(text), 0, ids);
    else
        split(text, 0, ids);
}

void ByteLevelEncoder::split(std::string_view text, size_t stage, std::vector<int32_t>& ids) const {
    if (text.empty()) return;
    if (stage == model_.patterns.size()) return model_.pairs.encode(text, ids);
    size_t from = 0;
    model_.patterns[stage].each_match(text, [&](size_t begin, size_t end) {
        split(text.substr(from, begin - from), stage + 1, ids);
        split(text.substr(begin, end - begin), stage + 1, ids);
        from = end;
    });
    split(text.substr(from), stage + 1, ids);
}

}  // namespace sluice
