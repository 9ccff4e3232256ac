#include "text/sentence_piece_cuts.h"

#include <algorithm>
#include <vector>

#include "base/utf8.h"

namespace sluice {
namespace {

using Piece = SentencePieceModel::Piece;
constexpr char32_t kSpace = 0x2581;  // how pieces write a space

char32_t written(char32_t character) { return character == ' ' ? kSpace : character; }
uint64_t pair_of(char32_t left, char32_t right) { return uint64_t(written(left)) << 32 | written(right); }

size_t character_before(std::string_view text, size_t at) {
    do at--;
    while (at > 0 && !begins_character(text[at]));
    return at;
}

// Whether a model has split points at all.
bool has_split_points(const SentencePieceModel& model) {
    const bool unused = std::any_of(model.pieces.begin(), model.pieces.end(),
                                    [](const Piece& piece) { return piece.kind == SentencePieceModel::unused; });
    const bool joins = model.kind == SentencePieceModel::bpe || model.kind == SentencePieceModel::character;
    return joins && !unused && !(model.dummy_prefix && model.space_as_suffix);
}

}  // namespace

SentencePieceCuts::SentencePieceCuts(const SentencePieceModel& model)
    : any_(has_split_points(model)),
      removes_spaces_(model.remove_extra_whitespaces),
      dummy_prefix_(model.dummy_prefix),
      byte_fallback_(model.byte_fallback),
      rules_(any_ ? model.rules : std::string_view()) {
    for (const Piece& piece : model.pieces)
        if (any_ && (piece.kind == SentencePieceModel::normal || piece.kind == SentencePieceModel::user_defined))
            add(piece);
}

void SentencePieceCuts::add(const Piece& piece) {
    if (invalid_utf8(piece.text) < piece.text.size()) return;  // no text contains it
    std::vector<char32_t> characters;
    for (size_t at = 0; at < piece.text.size(); at++)
        if (begins_character(piece.text[at])) characters.push_back(character_at(piece.text, at));
    if (characters.size() == 1) known_.insert(written(characters[0]));
    for (size_t i = 1; i < characters.size(); i++) neighbours_.insert(pair_of(characters[i - 1], characters[i]));
    if (piece.kind == SentencePieceModel::user_defined) exempt_.insert(characters.begin(), characters.end());
}

size_t SentencePieceCuts::cut(std::string_view text) const {
    if (!any_ || text.empty()) return 0;
    for (size_t at = character_before(text, text.size()); at > text.size() / 2;) {
        const size_t before = character_before(text, at);
        if (can_split(text, before, at)) return at;
        at = before;
    }
    return 0;
}

// The normalised form of the character at `at`, or of the several that a rule replaces there. length 0: it is not
// certain.
NormalisationRules::Applied SentencePieceCuts::normalised(std::string_view text, size_t at) const {
    const auto rule = rules_.at(text, at);
    const char32_t character = character_at(text, at);
    if (!rule.certain) return {};
    if (rule.length == 0) return {utf8_length(character), text.substr(at, utf8_length(character)), true};
    const bool valid = invalid_utf8(rule.becomes) == rule.becomes.size();
    return exempt_.contains(character) || !valid ? NormalisationRules::Applied{} : rule;
}

// The normalised form of the last characters before `at`; empty: it is not certain. A rule that covers them cannot
// begin before a character that follows no other in any rule. So this goes back to such a character, and applies the
// rules from there.
std::string_view SentencePieceCuts::normalised_before(std::string_view text, size_t at) const {
    constexpr int kMostJoined = 32;  // characters
    size_t from = character_before(text, at);
    for (int i = 0; i < kMostJoined && from > 0 && rules_.join(character_at(text, from)); i++)
        from = character_before(text, from);
    if (rules_.join(character_at(text, from))) return {};
    while (from < at) {
        const auto next = normalised(text, from);
        if (next.length == 0 || from + next.length >= at) return from + next.length == at ? next.becomes : "";
        from += next.length;
    }
    return {};
}

// Whether text can be split between the characters at `before` and `at`: as written and as normalised (a, b) they must
// be neighbours in no piece, and nothing that the model does at spaces or to unknown characters may join them.
bool SentencePieceCuts::can_split(std::string_view text, size_t before, size_t at) const {
    if (neighbours_.contains(pair_of(character_at(text, before), character_at(text, at)))) return false;
    const std::string_view left = normalised_before(text, at), right = normalised(text, at).becomes;
    if (left.empty() || right.empty()) return false;
    const char32_t a = character_at(left, character_before(left, left.size()));
    const char32_t b = character_at(right, 0);
    if (a == kSpace || b == kSpace || neighbours_.contains(pair_of(a, b))) return false;
    if (removes_spaces_ && (a == ' ' || (b == ' ' && !dummy_prefix_))) return false;
    // Adjacent unknown characters become one token, unless as bytes.
    return byte_fallback_ || known_.contains(written(a)) || known_.contains(written(b));
}

bool SentencePieceCuts::prefix_stands_for_space(std::string_view part) const {
    return removes_spaces_ && dummy_prefix_ && !part.empty() && normalised(part, 0).becomes.starts_with(' ');
}

}  // namespace sluice
