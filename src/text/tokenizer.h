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
    // By any number of threads at once. Text that is not UTF-8 is refused, but by `bytes`.
    virtual std::vector<int32_t> encode(std::string_view text) const = 0;
    // Where a text that begins as `text` does (whole characters of UTF-8), and goes on after it, can be cut: the ids
    // of what stands before and those of the rest are together the ids of the whole, whatever follows. 0: nowhere that
    // is certain. The nearer to text's end the better.
    virtual size_t cut(std::string_view text) const = 0;
    // The rest of a text behind a cut, or what stands of it before the next one.
    virtual std::vector<int32_t> encode_rest(std::string_view text) const { return encode(text); }
    virtual bool takes_any_bytes() const { return false; }                  // and not UTF-8 alone
    virtual std::string decode(const std::vector<int32_t>& ids) const = 0;  // the delimiter decodes to nothing
    virtual int64_t vocab() const = 0;
    // Whether an id stands for something: vocabularies may have holes.
    virtual bool has(int32_t id) const { return id >= 0 && id < vocab(); }
    virtual int32_t delimiter() const = 0;  // begins a document
};

// "bytes", or the path of a file of any kind in data_tools/tokenizer_kind.h, known by its content. delimiter: the piece
// that begins documents, where it is not the usual one.
std::unique_ptr<Tokenizer> open_tokenizer(const std::string& name, const std::string& delimiter = "");

}  // namespace sluice
