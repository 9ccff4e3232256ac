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
    // Whether a rule's string begins at text[at], or could if text went on.
    bool begin_at(std::string_view text, size_t at) const;
    // Whether a rule's string holds `character` behind its first.
    bool join(char32_t character) const { return later_.contains(character); }

 private:
    bool child(size_t& node, uint8_t byte) const;
    bool ends(size_t node) const;
    void add_key(const std::string& key);

    std::vector<uint32_t> trie_;  // a double array, as darts-clone builds it
    std::unordered_set<char32_t> later_;
};

}  // namespace sluice
