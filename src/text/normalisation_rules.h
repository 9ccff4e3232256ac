// SentencePiece's rules of normalisation: strings of characters, of which the longest that stands at a place of a text
// is replaced.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace sluice {

class NormalisationRules {
 public:
    explicit NormalisationRules(std::string_view compiled);  // as a model holds them. Errors: std::runtime_error
    // The longest that applies at text[at].
    struct Applied {
        size_t length = 0;         // of what is replaced; 0: none applies
        std::string_view becomes;  // instead
        bool certain = true;       // or another could apply if text went on
    };
    Applied at(std::string_view text, size_t at) const;
    // Whether a rule's string holds `character` behind its first.
    bool join(char32_t character) const { return later_.contains(character); }

 private:
    bool child(size_t& node, uint8_t byte) const;
    bool ends(size_t node) const;
    std::string_view replacement(size_t node) const;
    void add_key(const std::string& key);

    std::vector<uint32_t> trie_;  // a double array, as darts-clone builds it
    std::string replacements_;    // each ends with a NUL
    std::unordered_set<char32_t> later_;
};

}  // namespace sluice
