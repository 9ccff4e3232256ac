// What a SentencePiece model's file holds and the library does not report: how it normalises, and the kinds of its
// pieces.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct SentencePieceModel {
    enum Kind { unigram = 1, bpe = 2, word = 3, character = 4 };
    enum PieceKind { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
    struct Piece {
        std::string text;
        int kind = normal;
    };
    int kind = unigram;
    bool dummy_prefix = true;              // a space is put before every text
    bool space_as_suffix = false;          // or after it
    bool remove_extra_whitespaces = true;  // at both ends, and all but one of several in a row
    bool byte_fallback = false;            // an unknown character becomes its bytes
    std::string rules;                     // of normalisation (text/normalisation_rules.h)
    std::vector<Piece> pieces;
};

// Errors: std::runtime_error.
SentencePieceModel read_sentence_piece_model(std::string_view file);
// The file of the same model without the dummy prefix.
std::string without_dummy_prefix(std::string_view file);

}  // namespace sluice
