// SentencePiece's rules of normalisation, which map strings to replacements. At each position of a text the longest
// string that matches is replaced.
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
        size_t length = 0;         // bytes that are replaced; 0: no rule applies
        std::string_view becomes;  // their replacement
        bool certain = true;       // false: with more text another rule could apply
    };
    Applied at(std::string_view text, size_t at) const;
    // Whether the string of some rule has `character` after its first one.
    bool join(char32_t character) const { return later_.contains(character); }

 private:
    // In a double array the child of a node for `byte` is at this place ^ byte.
    size_t place_of_children(size_t node) const;
    bool child(size_t& node, uint8_t byte) const;  // goes there, if there is one
    bool ends(size_t node) const;
    std::string_view replacement(size_t node) const;
    void add_key(const std::string& key);

    std::vector<uint32_t> trie_;  // a double array, as the library darts-clone builds it
    std::string replacements_;    // each ends with a NUL
    std::unordered_set<char32_t> later_;
};

}  // namespace sluice
