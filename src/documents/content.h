// What an input holds, as its content shows: JSON lines, text, or neither.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "documents/byte_source.h"

namespace sluice {

enum class Content {
    lines,  // JSON lines: a document per line, an object; also JSON text sequences (RFC 7464)
    text,   // the whole input is one document
};

// --format: `automatic` decides by the content.
enum class Format { automatic, lines, text };
Format to_format(const std::string& word);  // auto, jsonl, text. Errors: Failure(Exit::config)

// The known format that is not text in UTF-8 and begins like `head`: "a ZIP archive (...)", "UTF-16 text ..."; empty:
// none.
std::string foreign_format(std::string_view head);

// What `source` holds. Reads its beginning into `head`, without a byte order mark. The name matters only where it says
// JSON lines: then lines that are no JSON are errors of those lines, not of the input. Errors: Failure(Exit::data): no
// text, JSON that is not a document per line, a name of JSON lines on an input that holds none; DamagedInput.
Content content_of(ByteSource& source, const std::string& path, Format format, std::string& head);

// The documents in a line of JSON, blank ones left out: the line itself or, in a JSON text sequence, the records that
// bytes 0x1e separate. JSON itself has no such byte.
std::vector<std::string_view> records_of(std::string_view line);

}  // namespace sluice
