#include "data_tools/documents.h"

#include <zstd.h>

#include <algorithm>
#include <filesystem>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr size_t kLongestLine = size_t{1} << 28;  // bytes, and of a text without a place to cut it
constexpr size_t kPart = size_t{1} << 20;         // of a long text
constexpr int kLargestWindow = 31;                // log2 of bytes: what `zstd --long=31` writes

bool is_compressed(const std::string& file) { return file.ends_with(".zst"); }
bool is_lines(const std::string& file) { return file.ends_with(".jsonl") || file.ends_with(".jsonl.zst"); }

// The bytes of a file, decompressed where its name says so.
class Bytes {
 public:
    explicit Bytes(const std::string& path) : file_(path, int(Exit::data), Links::follow), stored_(size_t{1} << 17) {
        if (!is_compressed(path)) return;
        stream_.reset(ZSTD_createDStream());
        ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kLargestWindow);
    }
    int64_t stored_read() const { return int64_t(offset_); }

    // Appends some bytes; false at the end.
    bool read(std::string& text) {
        if (!stream_) return read_plain(text);
        if (in_.pos == in_.size && !refill()) {
            if (!frame_ended_) refuse("ends in the middle: it was cut off");
            return false;
        }
        const size_t before = text.size();
        text.resize(before + ZSTD_DStreamOutSize());
        ZSTD_outBuffer out{text.data() + before, ZSTD_DStreamOutSize(), 0};
        const size_t left = ZSTD_decompressStream(stream_.get(), &out, &in_);
        if (ZSTD_isError(left)) refuse(std::string("cannot be decompressed: ") + ZSTD_getErrorName(left));
        frame_ended_ = left == 0;
        text.resize(before + out.pos);
        return true;
    }

 private:
    [[noreturn]] void refuse(const std::string& why) const { fail(Exit::data, file_.path().string() + ": " + why); }
    bool refill() {
        const size_t n = std::min(stored_.size(), file_.size() - offset_);
        file_.read(stored_.data(), n, offset_);
        offset_ += n;
        in_ = {stored_.data(), n, 0};
        return n > 0;
    }
    bool read_plain(std::string& text) {
        if (!refill()) return false;
        text.append(stored_.data(), in_.size);
        return true;
    }

    struct Free {
        void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
    };
    InputFile file_;
    std::vector<char> stored_;
    std::unique_ptr<ZSTD_DStream, Free> stream_;
    ZSTD_inBuffer in_{nullptr, 0, 0};
    size_t offset_ = 0;
    bool frame_ended_ = true;
};

// Where a long text can be cut so that its parts tokenize as the whole does: after a single line break between two
// characters that are no space. 0: nowhere.
size_t cut_of(const std::string& text) {
    const auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
    for (size_t i = text.size(); i-- > 2;)
        if (text[i - 1] == '\n' && !space(text[i - 2]) && !space(text[i]) && (text[i] & 0x80) == 0) return i;
    return 0;
}

}  // namespace

std::vector<std::string> text_files(const std::vector<std::string>& inputs) {
    std::vector<std::string> files;
    for (const auto& input : inputs) {
        if (fs::is_directory(input)) {
            std::vector<std::string> found;
            for (const auto& entry : fs::recursive_directory_iterator(input))
                if (entry.is_regular_file() && !entry.path().filename().string().starts_with("."))
                    found.push_back(entry.path().string());
            if (found.empty()) fail(Exit::data, input + ": no files there");
            std::sort(found.begin(), found.end());
            files.insert(files.end(), found.begin(), found.end());
        } else if (fs::is_regular_file(input)) {
            files.push_back(input);
        } else {
            fail(Exit::data, input + ": no such file");
        }
    }
    for (const auto& file : files)
        for (const char* other : {".gz", ".bz2", ".xz", ".lz4", ".zip", ".tar", ".parquet", ".arrow", ".bin"})
            if (file.ends_with(other))
                fail(Exit::data, file + ": " + other + " is not read here: give .txt, .jsonl, or these as .zst");
    return files;
}

int64_t total_bytes(const std::vector<std::string>& files) {
    int64_t total = 0;
    for (const auto& file : files) total += int64_t(fs::file_size(file));
    return total;
}

std::string text_of(const RawDocument& document, const std::string& key) {
    if (document.line == 0) return document.text;
    try {
        const Json json = parse_json(document.text);
        if (json.is_object() && !json.contains(key)) {
            std::string keys;
            for (const auto& [name, value] : json.items()) keys += (keys.empty() ? "" : ", ") + name;
            throw JsonError("no key '" + key + "' (there are: " + keys + "): choose one with --text-key");
        }
        return to_text(member(json, key.c_str()), key.c_str());
    } catch (const JsonError& e) {
        fail(Exit::data, *document.file + ":" + std::to_string(document.line) + ": " + e.what());
    }
}

struct DocumentReader::Impl {
    std::vector<std::string> files;
    size_t at = 0;              // the open file, or the next
    int64_t stored_before = 0;  // of the files before it
    std::unique_ptr<Bytes> bytes;
    std::string text;     // read, not yet given out
    size_t searched = 0;  // of it, in vain: for a line's end, or a place to cut
    int64_t line = 0;
    bool ended = false, begun = false;  // of the open file: no more bytes; a part was given out

    void open() {
        bytes = std::make_unique<Bytes>(files[at]);
        text.clear();
        searched = 0;
        line = 0;
        ended = begun = false;
    }
    void close() {
        stored_before += int64_t(fs::file_size(files[at]));
        bytes.reset();
        at++;
    }
    // Whole lines of `text`, and the rest once the file has ended.
    size_t give_lines(std::vector<RawDocument>& documents) {
        size_t from = 0, given = 0;
        while (from < text.size()) {
            size_t end = text.find('\n', std::max(from, searched));
            if (end == std::string::npos && !ended) break;
            if (end == std::string::npos) end = text.size();
            line++;
            if (text.find_first_not_of(" \t\r", from) < end) {
                documents.push_back({text.substr(from, end - from), &files[at], line, false});
                given += end - from;
            }
            from = end + 1;
        }
        text.erase(0, std::min(from, text.size()));
        searched = text.size();
        if (text.size() > kLongestLine)
            fail(Exit::data, files[at] + ":" + std::to_string(line + 1) + ": a line of more than 256 MiB");
        return given;
    }
    size_t give_part(std::vector<RawDocument>& documents) {
        size_t cut = text.size();
        if (!ended) {
            if (text.size() < std::max(kPart, 2 * searched)) return 0;
            cut = cut_of(text);
            searched = cut == 0 ? text.size() : 0;
            if (text.size() > kLongestLine && cut == 0)
                fail(Exit::data, files[at] + ": 256 MiB without a line break: break it into lines");
        }
        if (cut == 0) return 0;
        documents.push_back({text.substr(0, cut), &files[at], 0, begun});
        begun = true;
        text.erase(0, cut);
        return cut;
    }
};

DocumentReader::DocumentReader(std::vector<std::string> files)
    : impl_(std::make_unique<Impl>(Impl{std::move(files), 0, 0, nullptr, {}, 0, 0, false, false})) {}
DocumentReader::~DocumentReader() = default;

bool DocumentReader::next(std::vector<RawDocument>& documents, size_t bytes) {
    documents.clear();
    Impl& r = *impl_;
    for (size_t given = 0; given < bytes && r.at < r.files.size();) {
        if (!r.bytes) r.open();
        r.ended = !r.bytes->read(r.text);
        given += is_lines(r.files[r.at]) ? r.give_lines(documents) : r.give_part(documents);
        if (r.ended) r.close();
    }
    return !documents.empty();
}

int64_t DocumentReader::bytes_read() const {
    return impl_->stored_before + (impl_->bytes ? impl_->bytes->stored_read() : 0);
}

}  // namespace sluice
