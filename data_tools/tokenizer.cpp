#include "data_tools/tokenizer.h"

#include <sentencepiece_processor.h>

#include "base/check.h"
#include "base/file.h"
#include "data_tools/byte_level_bpe.h"

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
    std::string decode(const std::vector<int32_t>& ids) const override {
        std::string text;
        for (int32_t id : ids)
            if (id >= 0 && id < 256) text += char(id);
        return text;
    }
    int64_t vocab() const override { return 257; }
    int32_t delimiter() const override { return 256; }
};

class SentencePiece : public Tokenizer {
 public:
    SentencePiece(const std::string& path, const std::string& delimiter) {
        const InputFile file(path, int(Exit::data), Links::follow);  // which says what is wrong with it
        if (const auto status = model_.Load(path); !status.ok())
            fail(Exit::data, path + ": not a SentencePiece model: give one, a tokenizer.json or 'bytes'");
        delimiter_ = model_.bos_id() >= 0 ? model_.bos_id() : model_.eos_id();
        if (!delimiter.empty()) {
            delimiter_ = model_.PieceToId(delimiter);
            if (model_.IdToPiece(delimiter_) != delimiter)
                fail(Exit::data, path + ": has no piece '" + delimiter + "'");
        }
        if (delimiter_ < 0) fail(Exit::data, path + ": has neither a bos nor an eos piece to begin documents with");
    }
    std::vector<int32_t> encode(std::string_view text) const override {
        std::vector<int> ids;
        if (const auto status = model_.Encode(std::string(text), &ids); !status.ok())
            fail(Exit::data, "the text cannot be tokenized: " + status.ToString());
        return {ids.begin(), ids.end()};
    }
    std::string decode(const std::vector<int32_t>& ids) const override {
        std::vector<int> known;
        for (int32_t id : ids)
            if (id >= 0 && id < model_.GetPieceSize() && !model_.IsControl(id)) known.push_back(id);
        std::string text;
        if (const auto status = model_.Decode(known, &text); !status.ok()) fail(Exit::data, status.ToString());
        return text;
    }
    int64_t vocab() const override { return model_.GetPieceSize(); }
    int32_t delimiter() const override { return delimiter_; }

 private:
    sentencepiece::SentencePieceProcessor model_;
    int32_t delimiter_;
};

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer(const std::string& name, const std::string& delimiter) {
    if (name == "bytes") {
        if (!delimiter.empty()) fail(Exit::config, "the bytes tokenizer has one delimiter, id 256: give no other");
        return std::make_unique<Bytes>();
    }
    if (name.ends_with(".json")) return open_byte_level_bpe(name, delimiter);
    return std::make_unique<SentencePiece>(name, delimiter);
}

}  // namespace sluice
