// Byte-level BPE, whatever file it was read from: added tokens are taken out of the text, the rest is normalised (NFC
// or not at all) and split into words by patterns, and the bytes of each word are merged.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/added_tokens.h"
#include "text/byte_pairs.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"
#include "text/tokens_across.h"

namespace sluice {

constexpr char kGpt2Pattern[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

struct ByteLevelModel {
    BytePairs pairs;
    std::vector<std::string> bytes;  // by id; empty for special tokens and unused ids
    std::vector<std::pair<std::string, int32_t>> special;
    AddedTokens added, added_normalised;  // not special; found before and after normalising
    PreTokenizer pre_tokenizer;
    PreTokenizer byte_pre_tokenizer;  // splits words further, in the byte alphabet
    bool nfc = false;

    void keep(int32_t id, const std::string& text);  // sets the bytes of an id
};

class ByteLevelEncoder : public Tokenizer {
 public:
    // delimiter: the special token that begins documents; empty: the first one of the usual names that exists. Errors:
    // std::runtime_error where there is none, or where text can be encoded to its id.
    ByteLevelEncoder(ByteLevelModel model, const std::string& delimiter);
    std::vector<int32_t> encode(std::string_view text) const override;
    size_t cut(std::string_view text) const override;
    std::string decode(const std::vector<int32_t>& ids) const override;
    bool has(int32_t id) const override;
    int64_t vocab() const override { return int64_t(model_.bytes.size()); }
    int32_t delimiter() const override { return delimiter_; }

 private:
    int32_t choose_delimiter(const std::string& wanted) const;
    bool can_be_written(int32_t id) const;
    void encode_plain(std::string_view text, std::vector<int32_t>& ids) const;
    void encode_word(std::string_view word, std::vector<int32_t>& ids) const;
    // As cut(), for text between added tokens that continues. from: the offset from which split points are tried; only
    // accepted ones count.
    using Accepted = std::function<bool(size_t)>;
    size_t cut_plain(std::string_view text) const;
    size_t cut_normalised(std::string_view text, size_t from, const Accepted& accepted) const;
    size_t cut_word(std::string_view text, size_t from, const Accepted& accepted) const;

    ByteLevelModel model_;
    std::unique_ptr<const TokensAcross> across_;  // set where no pattern splits text into words
    int32_t delimiter_ = -1;
};

}  // namespace sluice
