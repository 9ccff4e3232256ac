// Streams documents out of inputs (documents/byte_source.h). Memory does not grow with the size of a file.
//     JSON lines       a document per line, an object that has it under a key (default `text`); JSON text sequences too
//     text             a document per file
// The content of an input shows which of them it holds (documents/content.h).
// Errors: Failure(Exit::data), naming file and line.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "documents/content.h"
#include "text/tokenizer.h"

namespace sluice {

// The files and pipes among the inputs, and the files in folders, sorted, without hidden files and folders. Empty files
// in folders are left out and counted in `empty`.
std::vector<std::string> text_files(const std::vector<std::string>& inputs, int64_t* empty = nullptr);
// Examines the beginning of every file, before hours are spent on the first ones. Damaged and empty files are errors
// too, unless they are to be skipped. Streams are not examined: they can be read only once.
void refuse_no_text(const std::vector<std::string>& files, Format format, bool skip_damaged);
int64_t total_bytes(const std::vector<std::string>& files);  // as they are stored; 0: unknown, since one is a stream

// A document, or a part of a long text, as read from a file. Any thread can parse it (text_of).
struct RawDocument {
    std::string text;  // a line of JSON, or text
    const std::string* file = nullptr;
    int64_t line = 0;                   // of JSON, from 1 on; 0: text
    bool continues = false;             // continues the document before: long texts come in parts
    std::string error = {};             // why it could not be read; then there is no text, and no further part
    std::optional<uint64_t> hash = {};  // of the whole text (documents/text_check.h), in its first part
};
// "FILE" or "FILE:LINE".
std::string place_of(const RawDocument& document);
// The text of a document. key: of the JSON object's member. Errors: Failure(Exit::data), naming file and line.
std::string text_of(const RawDocument& document, const std::string& key);

class DocumentReader {
 public:
    static constexpr size_t kLongestLine = size_t{1} << 28;  // bytes; also of a text that cannot be split
    // tokenizer: decides where long texts are split, and whether they must be UTF-8. Such a text is read twice: first
    // to its end, so that errors in it and its hash are known before its first part is returned. Without a tokenizer,
    // texts are split between lines and read once.
    explicit DocumentReader(std::vector<std::string> files, Format format = Format::automatic,
                            size_t longest_line = kLongestLine, const Tokenizer* tokenizer = nullptr);
    ~DocumentReader();
    // The next documents in order, about `bytes` bytes of them; false at the end.
    bool next(std::vector<RawDocument>& documents, size_t bytes);
    int64_t bytes_read() const;  // of the files, as they are stored

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
