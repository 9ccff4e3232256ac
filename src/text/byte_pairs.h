// Byte-pair encoding: a vocabulary of byte strings, and the pairs that merge. The bytes of a word are merged pair by
// pair, of all neighbours the pair of the lowest rank first, the leftmost of these. Encoding is safe from any number of
// threads. Errors: std::runtime_error, without the file's name.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace sluice {

struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

class BytePairs {
 public:
    void add_token(int32_t id, const std::string& bytes);
    size_t size() const { return ids_.size(); }  // tokens
    std::optional<int32_t> find(std::string_view bytes) const;
    // Of tokens that are there, as is the token they make. Pairs rank as they are added; the last of the same counts.
    void add_merge(const std::string& left, const std::string& right);
    // Any two tokens merge that make a token, and rank as its id. After the last token.
    void merge_by_id();
    // A word that is a token is that token, whatever the merges make of its bytes. Not one that is `never_whole`: what
    // looks like a special token is text.
    void ignore_merges() { ignore_merges_ = true; }
    bool ignores_merges() const { return ignore_merges_; }
    void never_whole(int32_t id) { never_whole_.insert(id); }
    void finish();                   // after the last token and before the first word: every byte must be a token
    bool makes(int32_t id) const;    // whether some text becomes it
    std::vector<bool> made() const;  // by id: whether a byte or a merge is it
    std::vector<std::string_view> tokens() const;  // which live as long as the pairs stay where they are

    void encode(std::string_view word, std::vector<int32_t>& ids) const;  // adds to ids

 private:
    struct Merge {
        int32_t rank, id;
    };
    int32_t id_of(const std::string& bytes, const char* what) const;
    void merge(std::string_view word, std::vector<int32_t>& ids) const;

    std::unordered_map<std::string, int32_t, TextHash, std::equal_to<>> ids_;
    std::array<int32_t, 256> byte_ids_{};
    int32_t next_rank_ = 0;
    std::unordered_map<uint64_t, Merge> merges_;
    bool ignore_merges_ = false;
    std::unordered_set<int32_t> never_whole_;
    uint64_t serial_ = 0;  // tells these pairs' cache from others'
};

}  // namespace sluice
