#include "text/sentence_piece.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <stdexcept>

#include "base/check.h"
#include "base/file.h"
#include "base/utf8.h"
#include "text/sentence_piece_cuts.h"
#include "text/tokenizer_kind.h"

namespace sluice {
namespace {

constexpr size_t kLargestModel = size_t{1} << 28;

class SentencePiece : public Tokenizer {
 public:
    SentencePiece(const std::string& path, const std::string& delimiter) {
        const std::string file = read_file(path, int(Exit::data), kLargestModel, Links::follow);
        if (const auto status = model_.LoadFromSerializedProto(file); !status.ok())
            refuse_tokenizer(path, "no file of a known kind");
        try {
            const SentencePieceModel facts = read_sentence_piece_model(file);
            cuts_ = std::make_unique<SentencePieceCuts>(facts);
            dummy_prefix_ = facts.dummy_prefix;
        } catch (const std::runtime_error& e) { fail(Exit::data, path + ": " + e.what()); }
        if (dummy_prefix_ && cuts_->any())
            if (const auto status = rest_model_.LoadFromSerializedProto(without_dummy_prefix(file)); !status.ok())
                fail(Exit::data, path + ": " + status.ToString());
        choose_delimiter(path, delimiter);
    }
    std::vector<int32_t> encode(std::string_view text) const override { return encode(text, false); }
    std::vector<int32_t> encode_rest(std::string_view text) const override { return encode(text, true); }
    size_t cut(std::string_view text) const override { return cuts_->cut(text); }
    std::string decode(const std::vector<int32_t>& ids) const override {
        std::vector<int> known;
        for (int32_t id : ids)
            if (id >= 0 && id < model_.GetPieceSize() && !model_.IsControl(id)) known.push_back(id);
        std::string text;
        if (const auto status = model_.Decode(known, &text); !status.ok()) fail(Exit::data, status.ToString());
        return text;
    }
    bool has(int32_t id) const override { return id >= 0 && id < vocab() && !model_.IsUnused(id); }
    int64_t vocab() const override { return model_.GetPieceSize(); }
    int32_t delimiter() const override { return delimiter_; }

 private:
    using Processor = sentencepiece::SentencePieceProcessor;
    // Encodes slice by slice: for short ones the library needs less time and memory.
    std::vector<int32_t> encode(std::string_view text, bool continues) const {
        constexpr size_t kShort = size_t{1} << 14;  // bytes in which a split point is sought
        refuse_invalid_utf8(text);
        std::vector<int32_t> ids;
        for (size_t window = kShort; !text.empty();) {
            const size_t cut =
                2 * window < text.size() ? cuts_->cut(whole_characters(text.substr(0, window))) : text.size();
            if (cut > 0) add_ids(text.substr(0, cut), continues, ids);
            continues = continues || cut > 0;
            window = cut > 0 ? kShort : 2 * window;
            text.remove_prefix(cut);
        }
        return ids;
    }
    // Only the first slice of a text gets the dummy prefix. A later slice gets it too if the model would remove its
    // first space: the prefix then puts it back.
    void add_ids(std::string_view text, bool continues, std::vector<int32_t>& ids) const {
        const bool plain = continues && dummy_prefix_ && !cuts_->prefix_stands_for_space(text);
        std::vector<int> some;
        if (const auto status = (plain ? rest_model_ : model_).Encode(std::string(text), &some); !status.ok())
            fail(Exit::data, "the text cannot be tokenized: " + status.ToString());
        ids.insert(ids.end(), some.begin(), some.end());
    }
    // A control piece: no text is encoded to it.
    void choose_delimiter(const std::string& path, const std::string& wanted) {
        delimiter_ = model_.bos_id() >= 0 ? model_.bos_id() : model_.eos_id();
        if (!wanted.empty()) {
            delimiter_ = model_.PieceToId(wanted);
            if (model_.IdToPiece(delimiter_) != wanted) fail(Exit::data, path + ": has no piece '" + wanted + "'");
        }
        if (delimiter_ < 0) fail(Exit::data, path + ": has neither a bos nor an eos piece to begin documents with");
        if (!model_.IsControl(delimiter_))
            fail(Exit::data,
                 path + ": '" + model_.IdToPiece(delimiter_) +
                     "' is a piece of text too, so that documents could forge their end: choose a control " +
                     "piece as delimiter");
    }

    Processor model_, rest_model_;  // rest_model_: without the dummy prefix
    std::unique_ptr<const SentencePieceCuts> cuts_;
    bool dummy_prefix_ = true;
    int32_t delimiter_ = -1;
};

}  // namespace

std::unique_ptr<Tokenizer> open_sentence_piece(const std::string& path, const std::string& delimiter) {
    return std::make_unique<SentencePiece>(path, delimiter);
}

}  // namespace sluice
