// Byte-pair encoding: a vocabulary of byte strings, and the pairs that merge. Encoding starts from the bytes of a word
// and merges the neighbouring pair of the lowest rank, among equals the leftmost, until no pair merges. Any number of
// threads may encode at once. Errors: std::runtime_error, without the file's name.
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
    // Both tokens, and the one that they make, must exist. The rank of a merge is its number; a pair that is added
    // twice has the later one.
    void add_merge(const std::string& left, const std::string& right);
    // Adds a merge for any two tokens that together are a token; its rank is the id of the latter. Call after the last
    // token.
    void merge_by_id();
    // A word that is a token becomes that token, whatever its bytes would merge to. Not so for `never_whole` ids: text
    // that looks like a special token stays text.
    void ignore_merges() { ignore_merges_ = true; }
    bool ignores_merges() const { return ignore_merges_; }
    void never_whole(int32_t id) { never_whole_.insert(id); }
    void finish();                   // call after the last token, before encode(); every byte must be a token
    bool makes(int32_t id) const;    // whether some text is encoded to it
    std::vector<bool> made() const;  // by id: whether it is a byte or the result of a merge
    std::vector<std::string_view> tokens() const;  // views into this object, which must not move

    void encode(std::string_view word, std::vector<int32_t>& ids) const;  // appends to ids

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
    uint64_t serial_ = 0;  // identifies this object in the caches of threads
};

}  // namespace sluice
