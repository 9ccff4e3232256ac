// Documents out of inputs (data_tools/byte_source.h), streamed: memory does not grow with a file.
//     JSON lines       a document a line, an object whose key (`text` unless told) holds it; JSON text sequences too
//     text             a document a file
// Which of them an input holds is told by its content (data_tools/content.h).
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

// Files and pipes as they are, of folders their files in sorted order: hidden files and folders not, and no empty
// files, which are counted.
std::vector<std::string> text_files(const std::vector<std::string>& inputs, int64_t* empty = nullptr);
// Looks into every file before hours are spent on the first ones. Damaged and empty ones are refused too, unless they
// are skipped. Streams are not looked into: they can be read only once.
void refuse_no_text(const std::vector<std::string>& files, Format format, bool skip_damaged);
int64_t total_bytes(const std::vector<std::string>& files);  // as they are stored; 0: unknown, one is a stream

// A piece of a file that can be read further by any thread.
struct RawDocument {
    std::string text;  // a line of JSON, or text
    const std::string* file = nullptr;
    int64_t line = 0;                   // of JSON; 0: text
    bool continues = false;             // goes on with the document before: a long text comes in parts
    std::string error = {};             // instead of a text: why there is none, and of a text in parts no more
    std::optional<uint64_t> hash = {};  // of the whole text (data_tools/text_check.h), where this is its first part
};
// FILE, or FILE:LINE.
std::string place_of(const RawDocument& document);
// The text of a document. key: of the JSON object.
std::string text_of(const RawDocument& document, const std::string& key);

class DocumentReader {
 public:
    static constexpr size_t kLongestLine = size_t{1} << 28;  // bytes, and of a text without a place to cut it
    // tokenizer: says where long texts are cut, and whether they must be UTF-8. Such a text is read to its end first,
    // so that what is wrong with it and its hash are known before its first part is given out. Without one, texts are
    // cut between lines, and read once.
    explicit DocumentReader(std::vector<std::string> files, Format format = Format::automatic,
                            size_t longest_line = kLongestLine, const Tokenizer* tokenizer = nullptr);
    ~DocumentReader();
    // About `bytes` of documents in order; false at the end.
    bool next(std::vector<RawDocument>& documents, size_t bytes);
    int64_t bytes_read() const;  // of the files, as they are stored

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
