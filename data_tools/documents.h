// Documents out of text files, streamed: memory does not grow with a file.
//     .jsonl           a document a line, an object whose key (`text` unless told) holds it
//     anything else    a document a file
// and either compressed as .zst. Errors: Failure(Exit::data), naming file and line.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

// Files as they are, of folders their files in sorted order (hidden ones not). What is no text by its name is refused.
std::vector<std::string> text_files(const std::vector<std::string>& inputs);
int64_t total_bytes(const std::vector<std::string>& files);

// A piece of a file that can be read further by any thread.
struct RawDocument {
    std::string text;  // a line of JSON, or text
    const std::string* file = nullptr;
    int64_t line = 0;        // of JSON; 0: text
    bool continues = false;  // goes on with the document before: a long text comes in parts, cut between two lines
};
// The text of a document. key: of the JSON object.
std::string text_of(const RawDocument& document, const std::string& key);

class DocumentReader {
 public:
    explicit DocumentReader(std::vector<std::string> files);
    ~DocumentReader();
    // About `bytes` of documents in order; false at the end.
    bool next(std::vector<RawDocument>& documents, size_t bytes);
    int64_t bytes_read() const;  // of the files, as they are stored

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
