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
    // By any number of threads at once.
    virtual std::vector<int32_t> encode(std::string_view text) const = 0;
    virtual std::string decode(const std::vector<int32_t>& ids) const = 0;  // the delimiter decodes to nothing
    virtual int64_t vocab() const = 0;
    virtual int32_t delimiter() const = 0;  // begins a document
};

// "bytes", the path of a SentencePiece model, or of a Hugging Face tokenizer.json. delimiter: the piece that begins
// documents, where it is not the usual one.
std::unique_ptr<Tokenizer> open_tokenizer(const std::string& name, const std::string& delimiter = "");

}  // namespace sluice
