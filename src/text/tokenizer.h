// Text to token ids and back. `bytes` needs no file: ids 0 to 255 are the bytes, 256 begins a document.
// Errors: Failure(Exit::data).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

class Tokenizer {
 public:
    virtual ~Tokenizer() = default;
    // Any number of threads may encode at once. Text that is not UTF-8 is an error, except for `bytes`.
    virtual std::vector<int32_t> encode(std::string_view text) const = 0;
    // Where to split a text that begins with `text` (whole characters of UTF-8) and continues: the ids of both sides
    // are together the ids of the whole, whatever follows. 0: at no offset that is certain. Offsets near the end of
    // `text` are preferred.
    virtual size_t cut(std::string_view text) const = 0;
    // The ids of what follows a split point, up to the next one if there is one.
    virtual std::vector<int32_t> encode_rest(std::string_view text) const { return encode(text); }
    virtual bool takes_any_bytes() const { return false; }                  // not only UTF-8
    virtual std::string decode(const std::vector<int32_t>& ids) const = 0;  // the delimiter decodes to nothing
    virtual int64_t vocab() const = 0;
    // Whether an id is in use: vocabularies may have gaps.
    virtual bool has(int32_t id) const { return id >= 0 && id < vocab(); }
    virtual int32_t delimiter() const = 0;  // begins a document
};

// "bytes", or the path of a file of any kind in text/tokenizer_kind.h, recognised by its content. delimiter: the piece
// that begins documents; empty: the usual one.
std::unique_ptr<Tokenizer> open_tokenizer(const std::string& name, const std::string& delimiter = "");

}  // namespace sluice
