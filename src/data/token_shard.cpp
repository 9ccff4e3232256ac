#include "data/token_shard.h"

#include <glob.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "data/shard_set.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr int kHeaderInts = 256;
constexpr int32_t kMagic16 = 20240520, kMagic32 = 20240801;
constexpr char kDocumentsMagic[] = "SLUICEDC";
constexpr int64_t kDocumentsHeader = 16, kMegatronHeader = 34;  // bytes

[[noreturn]] void refuse(const fs::path& path, const std::string& why) { fail(Exit::data, path.string() + ": " + why); }

template <class T>
T read_at(const InputFile& file, int64_t offset) {
    T value;
    file.read(&value, sizeof value, size_t(offset));
    return value;
}

// Calls visit(i, value) for the `count` values that are stored from byte `offset` on. Reads them in blocks: an index
// may be large, and its values are not aligned.
template <class T, class Visit>
void scan(const InputFile& file, int64_t offset, int64_t count, const Visit& visit) {
    std::vector<T> block(size_t{1} << 16);
    for (int64_t i = 0; i < count; i += int64_t(block.size())) {
        const int64_t n = std::min(count - i, int64_t(block.size()));
        file.read(block.data(), size_t(n) * sizeof(T), size_t(offset + i * int64_t(sizeof(T))));
        for (int64_t k = 0; k < n; k++) visit(i + k, block[size_t(k)]);
    }
}

}  // namespace

TokenShard::TokenShard(const fs::path& path)
    : file_(std::make_unique<InputFile>(path, int(Exit::data), Links::follow)) {
    const fs::path index = fs::path(path).replace_extension(".idx"),
                   documents = fs::path(path).replace_extension(".documents");
    if (path.extension() == ".bin" && is_there(index)) {
        open_megatron(index);
    } else {
        open_llm_c();
        if (is_there(documents)) open_documents(documents);
    }
}

void TokenShard::open_llm_c() {
    int32_t header[kHeaderInts];
    if (file_->size() < sizeof header) refuse(path(), "too short for a token shard");
    file_->read(header, sizeof header, 0);
    if (header[0] != kMagic16 && header[0] != kMagic32)
        refuse(path(), "not a token shard: its magic number is " + std::to_string(header[0]));
    const bool wide = header[0] == kMagic32;
    if (header[1] != (wide ? 7 : 1)) refuse(path(), "shard version " + std::to_string(header[1]) + " is not known");
    format_ = wide ? "llm.c uint32 (magic 20240801, version 7)" : "llm.c uint16 (magic 20240520, version 1)";
    width_ = wide ? 4 : 2;
    header_ = sizeof header;
    count_ = header[2];
    if (count_ < 0 || int64_t(file_->size()) != header_ + count_ * width_)
        refuse(path(), "its header says " + std::to_string(count_) + " tokens, its size is " +
                           std::to_string(file_->size()) + " bytes");
}

void TokenShard::open_documents(const fs::path& path) {
    index_ = std::make_unique<InputFile>(path, int(Exit::data), Links::follow);
    char magic[8];
    const auto size = int64_t(index_->size());
    if (size < kDocumentsHeader) refuse(path, "too short for an index of documents");
    index_->read(magic, sizeof magic, 0);
    if (std::memcmp(magic, kDocumentsMagic, sizeof magic) != 0) refuse(path, "not an index of documents");
    documents_ = read_at<int64_t>(*index_, 8);
    if (documents_ < 0 || documents_ > size || size != kDocumentsHeader + 16 * documents_)
        refuse(path, "its header says " + std::to_string(documents_) + " documents, its size is " +
                         std::to_string(size) + " bytes");
    int64_t before = INT64_MIN;
    scan<Document>(*index_, kDocumentsHeader, documents_, [&](int64_t i, const Document& d) {
        if (d.start <= before || d.start >= count_ || (i == 0) != (d.start <= 0))
            refuse(path, "document " + std::to_string(i) + " cannot begin at token " + std::to_string(d.start));
        before = d.start;
    });
}

// Layout of the index: magic (9 bytes), version (uint64), type code of the ids (uint8), number of sequences S and of
// document boundaries D (uint64 each); then for each sequence its length in ids (int32, S of them) and its byte offset
// in NAME.bin (int64, S), and the first sequence of each document (int64, D). The last boundary is S.
void TokenShard::open_megatron(const fs::path& path) {
    index_ = std::make_unique<InputFile>(path, int(Exit::data), Links::follow);
    char magic[9];
    if (int64_t(index_->size()) < kMegatronHeader) refuse(path, "too short for a Megatron index");
    index_->read(magic, 9, 0);
    if (std::memcmp(magic, "MMIDIDX\0\0", 9) != 0 || read_at<uint64_t>(*index_, 9) != 1)
        refuse(path, "not a Megatron index of version 1");
    const auto type = read_at<uint8_t>(*index_, 17);
    struct Type {
        int width;  // bytes; 0: not an integer type
        bool is_signed;
        const char* format;
    };
    constexpr Type types[] = {{0, false, ""},
                              {1, false, "Megatron uint8 (code 1)"},
                              {1, true, "Megatron int8 (code 2)"},
                              {2, true, "Megatron int16 (code 3)"},
                              {4, true, "Megatron int32 (code 4)"},
                              {8, true, "Megatron int64 (code 5)"},
                              {0, false, ""},
                              {0, false, ""},
                              {2, false, "Megatron uint16 (code 8)"}};
    if (type >= std::size(types) || types[type].width == 0)
        refuse(path, "token type " + std::to_string(type) +
                         " is not read: use whole numbers (uint8, uint16, int8, int16, int32 or int64)");
    width_ = types[type].width;
    signed_ = types[type].is_signed;
    format_ = types[type].format;
    const auto sequences = read_at<uint64_t>(*index_, 18), ends = read_at<uint64_t>(*index_, 26);
    const uint64_t most = index_->size(), needed = kMegatronHeader + 12 * sequences + 8 * ends;
    // An index with modes has one more byte per sequence.
    if (sequences > most || ends > most || (needed != most && needed + sequences != most))
        refuse(path, "its counts need " + std::to_string(needed) + " bytes, it has " + std::to_string(most));
    sequences_ = int64_t(sequences);
    documents_ = ends > 0 ? int64_t(ends) - 1 : 0;

    int64_t end = 0;  // of the sequences so far, bytes in NAME.bin
    std::vector<int32_t> lengths(size_t{1} << 16);
    scan<int64_t>(*index_, kMegatronHeader + 4 * sequences_, sequences_, [&](int64_t i, int64_t pointer) {
        const size_t k = size_t(i) % lengths.size();
        if (k == 0)
            index_->read(lengths.data(), size_t(std::min(sequences_ - i, int64_t(lengths.size()))) * 4,
                         size_t(kMegatronHeader + 4 * i));
        if (pointer != end || lengths[k] < 0)
            refuse(path, "sequence " + std::to_string(i) + " does not begin where the one before it ends");
        end += int64_t(lengths[k]) * width_;
    });
    if (end != int64_t(file_->size()))
        refuse(file_->path(), "has " + std::to_string(file_->size()) + " bytes, its index " + path.filename().string() +
                                  " says " + std::to_string(end));
    count_ = end / width_;
    int64_t before = 0;
    scan<int64_t>(*index_, kMegatronHeader + 12 * sequences_, int64_t(ends), [&](int64_t i, int64_t sequence) {
        const bool last = i == documents_;
        if (sequence < before || sequence > sequences_ || (i == 0 && sequence != 0) || (last && sequence != sequences_))
            refuse(path, "document " + std::to_string(i) + " cannot begin at sequence " + std::to_string(sequence));
        before = sequence;
    });
    if (documents_ == 0) index_.reset();
}

Document TokenShard::document(int64_t i) const {
    check(i >= 0 && i < documents_, "a document beyond a shard");
    if (sequences_ < 0) return read_at<Document>(*index_, kDocumentsHeader + 16 * i);
    const auto sequence = read_at<int64_t>(*index_, kMegatronHeader + 12 * sequences_ + 8 * i);
    if (sequence == sequences_) return {count_, -1};  // an empty document at the end
    return {read_at<int64_t>(*index_, kMegatronHeader + 4 * sequences_ + 8 * sequence) / width_, -1};
}

void TokenShard::document_starts(int64_t start, int64_t count, int32_t* doc_start) const {
    check(knows_documents(), "documents of a shard that does not know them");
    // Bisection: `low` becomes the first document that begins after `start`.
    int64_t low = 0, high = documents_;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (document(middle).start <= start)
            low = middle + 1;
        else
            high = middle;
    }
    int64_t next = low < documents_ ? document(low).start : count_;
    int32_t began = 0;  // where the document of token start + t begins; `next`: where document `low` does
    for (int64_t t = 0; t < count; t++) {
        while (start + t == next && low < documents_) {
            began = int32_t(t);
            low++;
            next = low < documents_ ? document(low).start : count_;
        }
        doc_start[t] = began;
    }
}

int64_t TokenShard::id_of(const char* raw) const {
    uint64_t bits = 0;
    std::memcpy(&bits, raw, size_t(width_));
    const int unused = 64 - 8 * width_;  // shifting there and back extends the sign
    return signed_ ? int64_t(bits << unused) >> unused : int64_t(bits);
}

// Fails with the offending id, and with the vocabulary that the ids of the whole shard need.
void TokenShard::refuse_id(int64_t token, int64_t id, int64_t vocab) const {
    constexpr int64_t kBlock = int64_t{1} << 20;
    std::vector<char> raw(size_t(kBlock * width_));
    int64_t smallest = id, largest = id;
    for (int64_t at = 0; at < count_; at += kBlock) {
        const int64_t n = std::min(count_ - at, kBlock);
        file_->read(raw.data(), size_t(n * width_), size_t(header_ + at * width_));
        for (int64_t i = 0; i < n; i++) {
            const int64_t other = id_of(raw.data() + i * width_);
            smallest = std::min(smallest, other);
            largest = std::max(largest, other);
        }
    }
    std::string what = ", and ids are within 0 and 2147483647";
    if (vocab > 0) what = ", outside the vocabulary of " + std::to_string(vocab);
    if (vocab > 0 && smallest >= 0 && largest < INT32_MAX)
        what += ": raise model.vocab to " + std::to_string(largest + 1) + " or more";
    refuse(path(), "token " + std::to_string(token) + " is id " + std::to_string(id) + what);
}

void TokenShard::read(int64_t start, int64_t count, int32_t* tokens, int64_t vocab) const {
    check(start >= 0 && count >= 0 && start + count <= count_, "a read beyond a shard");
    // Ids of at most 4 bytes are read into the end of `tokens` and widened in place from the front: writing never
    // overtakes reading. Wider ids need a buffer of their own.
    std::vector<char> wider(width_ > 4 ? size_t(count * width_) : 0);
    char* raw = width_ > 4 ? wider.data() : reinterpret_cast<char*>(tokens) + count * (4 - width_);
    file_->read(raw, size_t(count * width_), size_t(header_ + start * width_));
    for (int64_t i = 0; i < count; i++) {
        const int64_t id = id_of(raw + i * width_);
        if (id < 0 || id > INT32_MAX || (vocab > 0 && id >= vocab)) refuse_id(start + i, id, vocab);
        tokens[i] = int32_t(id);
    }
}

// ---------------------------------------------------------------- writing
ShardWriter::ShardWriter(const fs::path& path, int64_t vocab) : path_(path), file_(path), wide_(vocab > 65536) {
    const std::vector<int32_t> empty(kHeaderInts);
    file_.write(empty.data(), kHeaderInts * 4);
}

void ShardWriter::begin_document(int64_t text_bytes, int64_t before) {
    documents_.push_back({count_ - before, text_bytes});
}

void ShardWriter::add(const int32_t* tokens, int64_t count) {
    if (count_ + count > INT32_MAX) refuse(path_, "a shard holds at most 2147483647 tokens");
    for (int64_t i = 0; i < count; i++) largest_ = std::max(largest_, tokens[i]);
    const void* data = tokens;
    if (!wide_) {
        narrow_.assign(tokens, tokens + count);
        data = narrow_.data();
    }
    const size_t bytes = size_t(count) * (wide_ ? 4 : 2);
    hash_.add(data, bytes);
    file_.write(data, bytes);
    count_ += count;
}

void ShardWriter::close() {
    const int32_t header[] = {wide_ ? kMagic32 : kMagic16, wide_ ? 7 : 1, int32_t(count_)};
    file_.write_at(header, sizeof header, 0);
    file_.close();
    if (documents_.empty()) return;
    OutputFile index(fs::path(path_).replace_extension(".documents"));
    const auto count = int64_t(documents_.size());
    index.write(kDocumentsMagic, 8);
    index.write(&count, 8);
    index.write(documents_.data(), documents_.size() * sizeof(Document));
    index.close();
}

void write_shard(const fs::path& path, const std::vector<int32_t>& tokens, int64_t vocab) {
    const fs::path temporary = path.string() + ".tmp";
    ShardWriter writer(temporary, vocab);
    writer.add(tokens.data(), int64_t(tokens.size()));
    writer.close();
    rename_path(temporary, path);
}

// ---------------------------------------------------------------- finding
std::vector<fs::path> find_shards(const std::string& path) {
    std::vector<fs::path> files;
    const bool index = path.ends_with(".idx");
    const std::string prefix = index ? path.substr(0, path.size() - 4) : path;
    if (path.ends_with(".json") && is_there(path)) {
        for (const ShardFacts& facts : read_shard_set(path).shards)
            files.push_back(fs::path(path).parent_path() / facts.file);
    } else if (is_folder(path)) {
        for (const auto& entry : list_folder(path, int(Exit::data)))
            if (entry.extension() == ".bin") files.push_back(entry);
    } else if (is_there(path) && !index) {
        files.push_back(path);
    } else if (is_there(prefix + ".bin")) {
        files.push_back(prefix + ".bin");
    } else {
        glob_t found = {};
        if (glob(path.c_str(), 0, nullptr, &found) == 0) files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
        globfree(&found);
        std::erase_if(files, [](const fs::path& file) { return file.extension() != ".bin"; });
    }
    std::sort(files.begin(), files.end());
    return files;
}

std::vector<fs::path> shard_files(const std::string& path) {
    const std::vector<fs::path> files = find_shards(path);
    if (files.empty()) fail(Exit::data, path + ": no token shards there");
    for (const auto& file : files) refuse_unfinished(file);
    return files;
}

}  // namespace sluice
