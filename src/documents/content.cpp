#include "documents/content.h"

#include <algorithm>
#include <cctype>

#include "base/check.h"
#include "base/json.h"

namespace sluice {
namespace {

constexpr size_t kHead = size_t{1} << 16;           // bytes examined; of what may be JSON at least the first line
constexpr size_t kLongestLine = size_t{1} << 28;    // bytes
constexpr size_t kLines = 8;                        // lines examined
constexpr std::string_view kMark = "\xef\xbb\xbf";  // the byte order mark of UTF-8
constexpr std::string_view kBlanks = " \t\r\n";

// The name in lower case; that of a compressed input without its suffix, such as .gz.
std::string bare_name(std::string name, bool compressed) {
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    for (const char* packed : {".gz", ".gzip", ".zst", ".zstd"})
        if (compressed && name.ends_with(packed)) {
            name.resize(name.size() - std::string_view(packed).size());
            break;
        }
    return name;
}
// Whether a name says JSON lines. Files named .json often hold them.
bool is_named_lines(const std::string& name) {
    const auto suffixes = {".jsonl", ".ndjson", ".jsonlines", ".ldjson", ".jl", ".json", ".json-seq"};
    return std::any_of(suffixes.begin(), suffixes.end(), [&](const char* s) { return name.ends_with(s); });
}
// The suffix of a name if it belongs to a format that is not text, else null.
const char* suffix_of_no_text(const std::string& name) {
    for (const char* suffix :
         {".gz",  ".gzip", ".zst", ".zstd",    ".bz2",   ".xz",      ".lzma", ".lz4", ".zip", ".7z",
          ".rar", ".tar",  ".tgz", ".parquet", ".arrow", ".feather", ".avro", ".orc", ".bin", ".idx"})
        if (name.ends_with(suffix)) return suffix;
    return nullptr;
}

// The beginning of an input. Damage after it is reported when the rest is read.
struct Head {
    ByteSource& source;
    std::string& bytes;
    bool whole = false, damaged = false;  // the input ends here; the rest cannot be read

    void read(size_t size) {
        while (bytes.size() < size && read_some()) {}
    }
    // Reads up to the line break of the first line that is not blank.
    void read_line() {
        size_t searched = 0;
        do {
            const size_t begin = bytes.find_first_not_of(kBlanks);
            if (begin != bytes.npos && bytes.find('\n', std::max(begin, searched)) != bytes.npos) return;
            searched = begin == bytes.npos ? 0 : bytes.size();
        } while (bytes.size() < kLongestLine && read_some());
    }
    bool read_some() {
        if (whole || damaged) return false;
        try {
            whole = !source.read(bytes);
        } catch (const DamagedInput&) {
            if (bytes.empty()) throw;
            damaged = true;
        }
        return !whole && !damaged;
    }
    // The records of the first lines, of those that are complete and not blank.
    std::vector<std::string_view> lines() const {
        std::vector<std::string_view> found;
        const std::string_view all = bytes;
        for (size_t at = 0; at < all.size() && found.size() < kLines;) {
            const size_t end = all.find('\n', at);
            if (end == all.npos && !whole) break;
            const std::string_view line = all.substr(at, end == all.npos ? end : end - at);
            for (const std::string_view record : records_of(line)) found.push_back(record);
            at = end == all.npos ? all.size() : end + 1;
        }
        return found;
    }
};

// The control characters that separate files, groups, records and units.
bool is_separator(char c) { return c >= '\x1c' && c <= '\x1f'; }

// Without the blanks, separators and byte order marks at the beginning. Joined files have byte order marks in the
// middle.
std::string_view bare(std::string_view text) {
    while (!text.empty()) {
        if (text.starts_with(kMark))
            text.remove_prefix(kMark.size());
        else if (kBlanks.find(text[0]) != kBlanks.npos || is_separator(text[0]))
            text.remove_prefix(1);
        else
            break;
    }
    return text;
}

// Whether a line is JSON that begins with one of the characters `first`.
bool is_json(std::string_view line, std::string_view first) {
    line = bare(line);
    return !line.empty() && first.find(line[0]) != first.npos && Json::accept(line.begin(), line.end());
}
bool is_object(std::string_view line) { return is_json(line, "{"); }

// Whether a line was meant as an object: it begins with {" or, as Python prints dictionaries, with {'.
bool looks_like_object(std::string_view line) {
    line = bare(line);
    const size_t at = line.find_first_not_of(kBlanks, 1);
    return at < line.size() && line[0] == '{' && (line[at] == '"' || line[at] == '\'');
}

// The first lines, counted: objects, broken objects, others.
struct Kinds {
    size_t objects = 0, broken = 0, others = 0;
    explicit Kinds(const std::vector<std::string_view>& lines) {
        for (const std::string_view line : lines) {
            if (is_object(line))
                objects++;
            else
                (looks_like_object(line) ? broken : others)++;
        }
    }
    // Whether most lines are objects, or meant as such. A single broken line is more likely text that begins like one.
    bool mostly_objects() const { return objects + broken > others && (objects > 0 || broken > 1); }
};

// Follows a JSON value to its end, or to where the head ends.
class Follow : public nlohmann::json_sax<Json> {
 public:
    bool ended = false;   // the value is complete
    bool nested = false;  // it holds strings, lists or objects
    bool member = false;  // a key with its value was read, or a key inside the value
    size_t error_at = 0;

    bool null() override { return value(); }
    bool boolean(bool) override { return value(); }
    bool number_integer(number_integer_t) override { return value(); }
    bool number_unsigned(number_unsigned_t) override { return value(); }
    bool number_float(number_float_t, const string_t&) override { return value(); }
    bool string(string_t&) override {
        nested = true;
        return value();
    }
    bool binary(binary_t&) override { return value(); }
    bool key(string_t&) override {
        member = member || depth_ > 1;
        return key_ = true;
    }
    bool start_object(size_t) override { return open(); }
    bool start_array(size_t) override { return open(); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool parse_error(size_t position, const std::string&, const Json::exception&) override {
        error_at = position;
        return false;
    }

 private:
    bool open() {
        nested = nested || depth_ > 0;
        depth_++;
        return true;
    }
    bool close() {
        depth_--;
        return value();
    }
    bool value() {
        ended = depth_ == 0;
        member = member || key_;
        return true;
    }
    int depth_ = 0;
    bool key_ = false;
};

// A JSON object or list at the beginning of an input.
struct JsonValue {
    bool found = false;    // a whole value, its beginning, or the first of several
    size_t broken_at = 0;  // offset of the error in what was meant as one; 0: no error

    JsonValue() = default;
    // any_list: lists that hold only numbers count too. A text may begin with [1].
    JsonValue(const Head& head, bool any_list) {
        const std::string_view text = bare(head.bytes);
        if (text.empty() || (text[0] != '{' && text[0] != '[')) return;
        Follow follow;
        // 4 bytes: the head can end within a character.
        found = Json::sax_parse(text.begin(), text.end(), &follow) ||
                (!head.whole && follow.error_at + 4 >= text.size()) ||
                (follow.ended && another_follows(text.substr(std::max<size_t>(follow.error_at, 1) - 1)));
        if (text[0] == '[' && !any_list && !follow.nested) found = false;
        if (!found && !follow.ended && follow.member) broken_at = head.bytes.size() - text.size() + follow.error_at - 1;
    }

 private:
    static bool another_follows(std::string_view text) {
        for (const std::string_view between : {",", ";", "\v", "\f", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"})
            if (text.starts_with(between)) text.remove_prefix(between.size());
        text = bare(text);
        return !text.empty() && (text[0] == '{' || text[0] == '[');
    }
};

// Whether all lines are lists or strings. A single one may be text.
bool are_lists_or_strings(const std::vector<std::string_view>& lines) {
    return lines.size() > 1 &&
           std::all_of(lines.begin(), lines.end(), [](std::string_view line) { return is_json(line, "[\""); });
}

// Whether objects follow their lengths in bytes: 13{"text": "a"}13{"text": "b"}, also with a colon, a blank or a line
// break after the number.
bool has_length_before_object(std::string_view text) {
    text = bare(text);
    size_t at = 0, length = 0;
    for (; at < std::min<size_t>(text.size(), 9) && text[at] >= '0' && text[at] <= '9'; at++)
        length = length * 10 + size_t(text[at] - '0');
    const size_t begin = text.find_first_not_of(": \t\r\n", at);
    return at > 0 && begin < text.size() && is_object(text.substr(begin, length));
}

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
    fail(Exit::data, shown_name(path) + ": " + why);
}

// Content::text, unless there is a NUL byte. (In JSON lines a NUL is an error of its line only.)
Content text_without_nul(const std::string& path, const std::string& bytes) {
    if (const size_t at = bytes.find('\0'); at != bytes.npos)
        refuse(path, "holds binary data, no text: a NUL byte at byte " + std::to_string(at));
    return Content::text;
}

}  // namespace

Format to_format(const std::string& word) {
    if (word == "auto") return Format::automatic;
    if (word == "jsonl") return Format::lines;
    if (word == "text") return Format::text;
    fail(Exit::config, "--format " + word + ": there are auto, jsonl and text");
}

Content content_of(ByteSource& source, const std::string& path, Format format, std::string& bytes) {
    Head head{source, bytes};
    head.read(kHead);
    if (bytes.starts_with(kMark)) bytes.erase(0, kMark.size());
    if (bytes.empty()) throw DamagedInput("is empty");
    if (const std::string foreign = foreign_format(bytes); !foreign.empty()) refuse(path, "holds " + foreign);
    if (format == Format::lines) return Content::lines;
    if (format == Format::text) return text_without_nul(path, bytes);

    const std::string name = bare_name(path, source.compressed());
    const bool named = is_named_lines(name);
    if (named && bare(bytes).empty()) return Content::lines;
    if (named || bare(bytes).starts_with('{')) head.read_line();
    const auto lines = head.lines();
    if (lines.empty() && (named || looks_like_object(bytes)))
        return Content::lines;  // the reader reports that it is too long
    const bool begins_with_line = lines.size() > 0 && is_object(lines[0]);
    const JsonValue value = begins_with_line ? JsonValue() : JsonValue(head, named);
    if (value.found || are_lists_or_strings(lines) || has_length_before_object(bytes))
        refuse(path,
               "holds JSON that is not a line a document: give a document a line (`jq -c '.[]'` makes that of a "
               "list, `jq -c .` of objects, `jq -c '{text: .}'` of strings), or say --format text");
    const Kinds kinds(lines);
    if (kinds.mostly_objects() || (named && kinds.others < lines.size())) return Content::lines;
    if (value.broken_at > 0)
        refuse(path, "holds JSON that is cut off or wrong at byte " + std::to_string(value.broken_at) +
                         ": mend it and give a document a line, or say --format text");
    text_without_nul(path, bytes);
    if (const char* suffix = suffix_of_no_text(name))
        refuse(path, std::string("is named ") + suffix +
                         ", which is not read here or not what it holds: name it .txt, or say --format text");
    if (named)
        refuse(path,
               "is named as JSON lines, and its first line is no JSON object: name it .txt, or say --format text");
    if (const size_t first = bytes.find_first_not_of(kBlanks); first != bytes.npos && is_separator(bytes[first]))
        refuse(path,
               "holds records that are no JSON, behind separators (bytes 0x1c to 0x1f): give each as a file or as a "
               "line of JSON, or say --format text");
    return Content::text;
}

std::vector<std::string_view> records_of(std::string_view line) {
    std::vector<std::string_view> records;
    for (size_t at = 0; at < line.size();) {
        const size_t end = std::min(line.find('\x1e', at), line.size());
        if (line.find_first_not_of(kBlanks, at) < end) records.push_back(line.substr(at, end - at));
        at = end + 1;
    }
    return records;
}

}  // namespace sluice
