// The tokenizer that byte-level BPE comes to, whatever file it was read from: the text is normalised (NFC or not at
// all), added tokens are taken out of it, the rest is split by patterns, and the bytes of each piece are merged.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data_tools/byte_pairs.h"
#include "data_tools/pattern.h"
#include "data_tools/tokenizer.h"

namespace sluice {

struct ByteLevelModel {
    BytePairs pairs;
    std::vector<std::string> bytes;  // by id; of special tokens none
    std::vector<std::pair<std::string, int32_t>> special;
    std::vector<std::pair<std::string, int32_t>> added;  // not special
    std::vector<Pattern> patterns;  // what one matches, and what lies between, are pieces for the next
    bool nfc = false;

    void keep(int32_t id, const std::string& text);  // the bytes of an id
};

class ByteLevelEncoder : public Tokenizer {
 public:
    // delimiter: the special token that begins documents; empty: the first there is of <|endoftext|>,
    // <|begin_of_text|>, <s>, </s>. Errors: std::runtime_error where there is none.
    ByteLevelEncoder(ByteLevelModel model, const std::string& delimiter);
    std::vector<int32_t> encode(std::string_view text) const override;
    std::string decode(const std::vector<int32_t>& ids) const override;
    int64_t vocab() const override { return int64_t(model_.bytes.size()); }
    int32_t delimiter() const override { return delimiter_; }

 private:
    int32_t choose_delimiter(const std::string& wanted) const;
    void encode_plain(std::string_view text, std::vector<int32_t>& ids) const;
    void split(std::string_view text, size_t stage, std::vector<int32_t>& ids) const;

    ByteLevelModel model_;
    std::array<bool, 256> begins_added_{};
    int32_t delimiter_ = -1;
};

}  // namespace sluice
