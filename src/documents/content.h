// What an input holds, told by its content: JSON lines, text, or neither.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "documents/byte_source.h"

namespace sluice {

enum class Content {
    lines,  // JSON lines: a document a line, an object; JSON text sequences (RFC 7464) too
    text,   // a document
};

// --format: `automatic` looks at the content.
enum class Format { automatic, lines, text };
Format to_format(const std::string& word);  // auto, jsonl, text. Errors: Failure(Exit::config)

// "a ZIP archive (...)", "UTF-16 text ...": what begins so, where that is no text; empty: nothing that is known here.
std::string foreign_format(std::string_view head);

// What `source` holds. Reads its beginning into `head`, without a byte order mark. Only where a name says JSON lines is
// it asked: those of its lines that are none are then bad lines. Errors: Failure(Exit::data): no text, JSON that is not
// a line a document, a name of JSON lines on what is none; DamagedInput.
Content content_of(ByteSource& source, const std::string& path, Format format, std::string& head);

// The documents of a line of JSON, those that are blank left out: one, or of a JSON text sequence what stands between
// bytes 0x1e. JSON itself has no such byte.
std::vector<std::string_view> records_of(std::string_view line);

}  // namespace sluice
