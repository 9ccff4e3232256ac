// Where a text can be split so that a SentencePiece model gives its two sides the ids of the whole. Models of kind bpe
// merge neighbours into pieces. So a text can be split between two characters that are neighbours in no piece, as long
// as normalisation acts on each side as on the whole. A unigram model scores the whole text, in sums whose rounding
// depends on all that comes before: it has no split points. Nor have models that split by words, put a space after the
// text, or have unused pieces.
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
    size_t cut(std::string_view text) const;  // as Tokenizer::cut; the last one in text's second half
    // Whether a slice that follows a split point begins with a space that the model would remove and the dummy prefix
    // puts back.
    bool prefix_stands_for_space(std::string_view part) const;

 private:
    void add(const SentencePieceModel::Piece& piece);
    bool can_split(std::string_view text, size_t before, size_t at) const;
    NormalisationRules::Applied normalised(std::string_view text, size_t at) const;
    std::string_view normalised_before(std::string_view text, size_t at) const;

    bool any_, removes_spaces_, dummy_prefix_, byte_fallback_;
    NormalisationRules rules_;
    std::unordered_set<uint64_t> neighbours_;  // pairs of characters that are neighbours in a piece
    std::unordered_set<char32_t> known_;       // characters that are pieces by themselves
    std::unordered_set<char32_t> exempt_;      // characters of user-defined pieces, which are not normalised
};

}  // namespace sluice
