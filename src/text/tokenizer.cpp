#include "text/tokenizer.h"

#include "base/check.h"
#include "text/byte_level_bpe.h"
#include "text/gpt2_files.h"
#include "text/sentence_piece.h"
#include "text/tiktoken.h"
#include "text/tokenizer_files.h"
#include "text/tokenizer_kind.h"

namespace sluice {
namespace {

class Bytes : public Tokenizer {
 public:
    std::vector<int32_t> encode(std::string_view text) const override {
        std::vector<int32_t> ids;
        ids.reserve(text.size());
        for (unsigned char c : text) ids.push_back(c);
        return ids;
    }
    size_t cut(std::string_view text) const override { return text.size(); }
    bool takes_any_bytes() const override { return true; }
    std::string decode(const std::vector<int32_t>& ids) const override {
        std::string text;
        for (int32_t id : ids)
            if (id >= 0 && id < 256) text += char(id);
        return text;
    }
    int64_t vocab() const override { return 257; }
    int32_t delimiter() const override { return 256; }
};

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer(const std::string& name, const std::string& delimiter) {
    if (name == "bytes") {
        if (!delimiter.empty()) fail(Exit::config, "the bytes tokenizer has one delimiter, id 256: give no other");
        return std::make_unique<Bytes>();
    }
    switch (tokenizer_kind(name)) {
        case TokenizerKind::tokenizer_json:
            return open_byte_level_bpe(name, delimiter);
        case TokenizerKind::tiktoken:
            return open_tiktoken(name, delimiter);
        case TokenizerKind::gpt2_pair: {
            const auto pair = tokenizer_files(name);
            return open_gpt2_files(pair[0], pair[1], delimiter);
        }
        case TokenizerKind::sentencepiece:
            break;
    }
    return open_sentence_piece(name, delimiter);
}

}  // namespace sluice
