// Where a text can be cut so that a SentencePiece model gives its parts the ids of the whole. Models of kind bpe join
// neighbours into pieces, so a place that no piece can stand across parts a text, as long as normalisation acts on each
// side as on the whole. A unigram model weighs the whole text, in sums whose rounding hangs on all that stands before:
// it has no such places, nor have models that split by words, put a space behind the text, or have unused pieces.
#pragma once
#include <cstdint>
#include <string_view>
#include <unordered_set>

#include "text/normalisation_rules.h"
#include "text/sentence_piece_model.h"

namespace sluice {

class SentencePieceCuts {
 public:
    explicit SentencePieceCuts(const SentencePieceModel& model);  // errors: std::runtime_error
    bool any() const { return any_; }
    size_t cut(std::string_view text) const;  // as Tokenizer::cut; the last place of text's second half
    // Of a part behind a cut: whether it begins with a space that the model would remove, and the prefix puts it back.
    bool prefix_stands_for_space(std::string_view part) const;

 private:
    void add(const SentencePieceModel::Piece& piece);
    bool parts(std::string_view text, size_t before, size_t at) const;
    NormalisationRules::Applied normalised(std::string_view text, size_t at) const;
    std::string_view normalised_before(std::string_view text, size_t at) const;

    bool any_, removes_spaces_, dummy_prefix_, byte_fallback_;
    NormalisationRules rules_;
    std::unordered_set<uint64_t> neighbours_;  // pairs of characters that stand together in a piece
    std::unordered_set<char32_t> known_;       // characters that are pieces
    std::unordered_set<char32_t> exempt_;      // of user-defined pieces, which are not normalised
};

}  // namespace sluice
