// What a SentencePiece model's file holds and the library does not tell: how it normalises, and its pieces' kinds.
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
    bool space_as_suffix = false;          // or behind it
    bool remove_extra_whitespaces = true;  // at both ends, and one of several
    bool byte_fallback = false;            // an unknown character becomes its bytes
    std::string rules;                     // of normalisation (data_tools/normalisation_rules.h)
    std::vector<Piece> pieces;
};

// Errors: std::runtime_error.
SentencePieceModel read_sentence_piece_model(std::string_view file);
// The file of a model that is the same but for the dummy prefix, which it does not put.
std::string without_dummy_prefix(std::string_view file);

}  // namespace sluice
