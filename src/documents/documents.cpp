#include "documents/documents.h"

#include <algorithm>
#include <filesystem>

#include "base/check.h"
#include "base/format.h"
#include "base/json.h"
#include "documents/byte_source.h"
#include "documents/spool.h"
#include "documents/text_check.h"
#include "text/text_parts.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_in(const std::string& folder, int64_t& empty) try {
    std::vector<std::string> found;
    for (auto at = fs::recursive_directory_iterator(folder); at != fs::end(at); ++at) {
        const fs::path& path = at->path();
        if (path.filename().string().starts_with(".")) {
            at.disable_recursion_pending();
        } else if (at->is_regular_file() && at->file_size() == 0) {
            empty++;
        } else if (at->is_regular_file()) {
            found.push_back(path.string());
        } else if (at->is_symlink() || !at->is_directory()) {
            fail(Exit::data, path.string() + ": neither a file nor a folder (a link to one?): give it by its own name");
        }
    }
    std::sort(found.begin(), found.end());
    return found;
} catch (const fs::filesystem_error& e) { fail(Exit::data, folder + ": cannot be read: " + e.what()); }

}  // namespace

std::vector<std::string> text_files(const std::vector<std::string>& inputs, int64_t* empty) {
    std::vector<std::string> files;
    int64_t empty_files = 0;
    for (const auto& input : inputs) {
        std::error_code error;
        const fs::file_status status = fs::status(input, error);
        if (input != "-" && !fs::exists(status)) fail(Exit::data, input + ": no such file");
        if (input == "-" && std::count(inputs.begin(), inputs.end(), input) > 1)
            fail(Exit::data, "standard input can be read only once");
        if (input == "-" || !fs::is_directory(status)) {
            files.push_back(input);
            continue;
        }
        const auto found = files_in(input, empty_files);
        if (found.empty()) fail(Exit::data, input + ": no files there that hold anything");
        files.insert(files.end(), found.begin(), found.end());
    }
    if (empty) *empty = empty_files;
    return files;
}

void refuse_no_text(const std::vector<std::string>& files, Format format, bool skip_damaged) {
    for (const auto& file : files) {
        if (is_stream(file)) continue;
        try {
            ByteSource source(file);
            std::string head;
            content_of(source, file, format, head);
        } catch (const DamagedInput& e) {
            if (!skip_damaged) fail(Exit::data, file + ": " + e.what());
        }
    }
}

int64_t total_bytes(const std::vector<std::string>& files) {
    int64_t total = 0;
    for (const auto& file : files) {
        if (is_stream(file)) return 0;
        total += int64_t(fs::file_size(file));
    }
    return total;
}

std::string place_of(const RawDocument& document) {
    return shown_name(*document.file) + (document.line > 0 ? ":" + std::to_string(document.line) : "");
}

std::string text_of(const RawDocument& document, const std::string& key) {
    if (!document.error.empty()) fail(Exit::data, place_of(document) + ": " + document.error);
    if (document.line == 0) return document.text;
    try {
        const Json json = parse_json(document.text);
        if (!json.is_object()) throw JsonError(std::string("no object, but a JSON ") + json.type_name());
        const auto text = json.find(key);
        if (text == json.end()) {
            std::string keys;
            for (const auto& [name, value] : json.items()) keys += (keys.empty() ? "" : ", ") + name;
            throw JsonError("no key '" + key + "' (there are: " + keys + "): choose one with --text-key");
        }
        if (!text->is_string()) throw JsonError("'" + key + "' is not a string, but a JSON " + text->type_name());
        return text->get<std::string>();
    } catch (const JsonError& e) {
        std::string why = e.what();
        constexpr std::string_view kFirstLine = "parse error at line 1, ";  // the library numbers lines from this one
        if (const size_t at = why.find(kFirstLine); at != why.npos) why.erase(at, kFirstLine.size());
        fail(Exit::data, place_of(document) + ": " + why);
    }
}

bool has_line_break(std::string_view text) {
    constexpr std::string_view kBreaks[] = {"\n", "\r", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"};
    return std::any_of(std::begin(kBreaks), std::end(kBreaks), [&](auto b) { return text.find(b) != text.npos; });
}

struct DocumentReader::Impl {
    std::vector<std::string> files;
    Format format;
    const Tokenizer* tokenizer;
    size_t longest_line;
    size_t at = 0;              // index of the open file, or of the next
    int64_t stored_before = 0;  // stored bytes of the files before it
    std::unique_ptr<ByteSource> source;
    Content content = Content::text;
    std::string text;                   // read and not yet returned
    size_t searched = 0;                // bytes of it without a line's end, or without a split point
    int64_t line = 0;                   // lines returned
    bool ended = false, begun = false;  // of the open file: all bytes were read; a part was returned
    TextCheck check{true};              // of the text read so far
    std::optional<uint64_t> hash;       // of a long text that was read to its end, and is read again
    std::unique_ptr<Spool> spool;       // its bytes for the second reading, if its input is a stream
    bool skipping = false;              // skipping the rest of a line that is too long

    void open() {
        source = std::make_unique<ByteSource>(files[at]);
        text.clear();
        searched = 0;
        line = 0;
        ended = begun = skipping = false;
        hash.reset();
        spool.reset();
        content = Content::text;
        content = content_of(*source, files[at], format, text);
        begin_check();
    }
    void begin_check() {
        check = TextCheck(tokenizer && tokenizer->takes_any_bytes());
        if (content == Content::text) check.add(text);
    }
    void close() {
        stored_before += source->stored_read();
        source.reset();
        at++;
    }
    // Reads the next bytes of the open file and appends their documents; returns the bytes of these.
    size_t read(std::vector<RawDocument>& documents) {
        size_t given = 0;
        try {
            if (!source) open();
            const size_t before = text.size();
            ended = !(spool ? spool->read(text) : source->read(text));
            if (content == Content::text) check_text(before);
            if (content == Content::text && !ended && !hash && tokenizer && text.size() >= kPart) read_ahead();
        } catch (const DamagedInput& e) {
            if (content == Content::lines) given += give_lines(documents);
            documents.push_back({"", &files[at], content == Content::lines ? line + 1 : 0, begun, e.what()});
            text.clear();
            ended = true;
        }
        given += content == Content::lines ? give_lines(documents) : give_part(documents);
        if (ended) close();
        return given;
    }
    void check_text(size_t from) {
        check.add(std::string_view(text).substr(from));
        if (!ended) return;
        check.end();
        if (hash && check.hash() != *hash) fail(Exit::data, shown_name(files[at]) + ": changed while it was read");
    }
    // Reads a long text to its end, for its errors and its hash, and returns to its beginning.
    void read_ahead() {
        const bool stream = is_stream(files[at]);
        if (stream) spool = std::make_unique<Spool>();
        for (bool more = true; more;) {
            if (spool) spool->add(text);
            text.clear();
            more = source->read(text);
            check.add(text);
        }
        check.end();
        hash = check.hash();
        if (stream) {
            text.clear();
        } else {
            source = std::make_unique<ByteSource>(files[at]);
            content_of(*source, files[at], format, text);
        }
        begin_check();
    }
    // Appends the documents of whole lines of `text`, and of the rest once the file has ended.
    size_t give_lines(std::vector<RawDocument>& documents) {
        size_t from = 0, given = 0;
        while (from < text.size()) {
            size_t end = text.find('\n', std::max(from, searched));
            if (end == std::string::npos && !ended) break;
            if (end == std::string::npos) end = text.size();
            line++;
            if (!skipping)
                for (const std::string_view record : records_of(std::string_view(text).substr(from, end - from))) {
                    documents.push_back({std::string(record), &files[at], line, false});
                    given += record.size();
                }
            skipping = false;
            from = end + 1;
        }
        text.erase(0, std::min(from, text.size()));
        searched = text.size();
        if (text.size() > longest_line && !skipping) {
            documents.push_back(
                {"", &files[at], line + 1, false, "a line of more than " + format_bytes(double(longest_line))});
            skipping = true;
        }
        if (skipping) text.clear(), searched = 0;
        return given;
    }
    // Appends the next part of a text: up to a split point, or the rest once the file has ended.
    size_t give_part(std::vector<RawDocument>& documents) {
        size_t cut = text.size();
        if (!ended) {
            // After a search in vain the text must double, so that all searches together take linear time.
            if (text.size() < std::max(kPart, 2 * searched)) return 0;
            cut = cut_of(text, tokenizer);
            searched = cut == 0 ? text.size() : 0;
            if (text.size() > longest_line && cut == 0) {
                documents.push_back({"", &files[at], 0, begun, too_long()});
                text.clear();
                ended = true;
            }
        }
        if (cut == 0) return 0;
        documents.push_back({text.substr(0, cut), &files[at], 0, begun, "", begun ? std::nullopt : hash});
        begun = true;
        text.erase(0, cut);
        return cut;
    }
    std::string too_long() const {
        const std::string limit = format_bytes(double(longest_line));
        if (!has_line_break(text)) return "a line of more than " + limit + ": break it into lines";
        return "more than " + limit +
               " of text without a place where this tokenizer lets it be cut: give smaller documents";
    }
};

DocumentReader::DocumentReader(std::vector<std::string> files, Format format, size_t longest_line,
                               const Tokenizer* tokenizer)
    : impl_(std::make_unique<Impl>()) {
    impl_->files = std::move(files);
    impl_->format = format;
    impl_->tokenizer = tokenizer;
    impl_->longest_line = longest_line;
}
DocumentReader::~DocumentReader() = default;

bool DocumentReader::next(std::vector<RawDocument>& documents, size_t bytes) {
    documents.clear();
    for (size_t given = 0; given < bytes && impl_->at < impl_->files.size();) given += impl_->read(documents);
    return !documents.empty();
}

int64_t DocumentReader::bytes_read() const {
    return impl_->stored_before + (impl_->source ? impl_->source->stored_read() : 0);
}

}  // namespace sluice
