#include "data_tools/sentence_piece_cuts.h"

#include <algorithm>

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
    for (const Piece& piece : model.pieces) {
        const bool of_text = piece.kind == SentencePieceModel::normal || piece.kind == SentencePieceModel::user_defined;
        if (!any_ || !of_text || piece.text.empty() || invalid_utf8(piece.text) < piece.text.size()) continue;
        char32_t last = character_at(piece.text, 0);
        bool alone = true;
        for (size_t at = 1; at < piece.text.size(); at++) {
            if (!begins_character(piece.text[at])) continue;
            const char32_t next = character_at(piece.text, at);
            neighbours_.insert(pair_of(last, next));
            last = next;
            alone = false;
        }
        if (alone) known_.insert(written(last));
    }
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

// Whether text can be cut between the characters at `before` and `at`. Both must be what they are after normalisation.
bool SentencePieceCuts::parts(std::string_view text, size_t before, size_t at) const {
    const char32_t left = character_at(text, before), right = character_at(text, at);
    if (left == kSpace || right == kSpace || neighbours_.contains(pair_of(left, right))) return false;
    if (removes_spaces_ && (left == ' ' || (right == ' ' && !dummy_prefix_))) return false;
    if (rules_.join(left) || rules_.join(right) || rules_.begin_at(text, before) || rules_.begin_at(text, at))
        return false;
    return byte_fallback_ || known_.contains(written(right));  // unknown ones that follow each other become one
}

}  // namespace sluice
