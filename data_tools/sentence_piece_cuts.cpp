#include "data_tools/sentence_piece_cuts.h"

#include <algorithm>
#include <vector>

#include "data_tools/utf8.h"

namespace sluice {
namespace {

using Piece = SentencePieceModel::Piece;
constexpr char32_t kSpace = 0x2581;  // how pieces write a space

char32_t written(char32_t character) { return character == ' ' ? kSpace : character; }
uint64_t pair_of(char32_t left, char32_t right) { return uint64_t(written(left)) << 32 | written(right); }

bool can_cut(const SentencePieceModel& model) {
    const bool unused = std::any_of(model.pieces.begin(), model.pieces.end(),
                                    [](const Piece& piece) { return piece.kind == SentencePieceModel::unused; });
    const bool joins = model.kind == SentencePieceModel::bpe || model.kind == SentencePieceModel::character;
    return joins && !unused && !(model.dummy_prefix && model.space_as_suffix);
}

}  // namespace

SentencePieceCuts::SentencePieceCuts(const SentencePieceModel& model)
    : any_(can_cut(model)),
      removes_spaces_(model.remove_extra_whitespaces),
      dummy_prefix_(model.dummy_prefix),
      byte_fallback_(model.byte_fallback),
      rules_(any_ ? model.rules : std::string_view()) {
    for (const Piece& piece : model.pieces)
        if (any_ && (piece.kind == SentencePieceModel::normal || piece.kind == SentencePieceModel::user_defined))
            add(piece);
}

void SentencePieceCuts::add(const Piece& piece) {
    if (invalid_utf8(piece.text) < piece.text.size()) return;  // no text has it
    std::vector<char32_t> characters;
    for (size_t at = 0; at < piece.text.size(); at++)
        if (begins_character(piece.text[at])) characters.push_back(character_at(piece.text, at));
    if (characters.size() == 1) known_.insert(written(characters[0]));
    for (size_t i = 1; i < characters.size(); i++) neighbours_.insert(pair_of(characters[i - 1], characters[i]));
    if (piece.kind == SentencePieceModel::user_defined) exempt_.insert(characters.begin(), characters.end());
}

size_t SentencePieceCuts::cut(std::string_view text) const {
    if (!any_ || text.empty()) return 0;
    size_t at = text.size();
    const auto begin_before = [&](size_t from) {
        do from--;
        while (from > 0 && !begins_character(text[from]));
        return from;
    };
    for (at = begin_before(at); at > text.size() / 2;) {
        const size_t before = begin_before(at);
        if (parts(text, before, at)) return at;
        at = before;
    }
    return 0;
}

// What the character at `at` becomes, with those behind it that a rule takes in; empty: nothing that is certain.
std::string_view SentencePieceCuts::normalised(std::string_view text, size_t at) const {
    const auto rule = rules_.at(text, at);
    const char32_t character = character_at(text, at);
    if (!rule.certain || rules_.join(character)) return {};
    if (rule.length == 0) return text.substr(at, utf8_length(character));
    return exempt_.contains(character) || invalid_utf8(rule.becomes) < rule.becomes.size() ? "" : rule.becomes;
}

// Whether text can be cut between the characters at `before` and `at`.
bool SentencePieceCuts::parts(std::string_view text, size_t before, size_t at) const {
    const std::string_view left = normalised(text, before), right = normalised(text, at);
    if (left.empty() || right.empty()) return false;
    size_t last = left.size() - 1;
    while (!begins_character(left[last])) last--;
    const char32_t a = character_at(left, last), b = character_at(right, 0);
    if (a == kSpace || b == kSpace || neighbours_.contains(pair_of(a, b)) ||
        neighbours_.contains(pair_of(character_at(text, before), character_at(text, at))))
        return false;
    if (removes_spaces_ && (a == ' ' || (b == ' ' && !dummy_prefix_))) return false;
    return byte_fallback_ || known_.contains(written(b));  // unknown ones that follow each other become one
}

bool SentencePieceCuts::prefix_stands_for_space(std::string_view part) const {
    return removes_spaces_ && dummy_prefix_ && !part.empty() && normalised(part, 0).starts_with(' ');
}

}  // namespace sluice
