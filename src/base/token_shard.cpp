#include "base/token_shard.h"

#include <glob.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/json.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr int kHeaderInts = 256;
constexpr int32_t kMagic16 = 20240520, kMagic32 = 20240801;
constexpr size_t kLargestNotes = size_t{1} << 26;

[[noreturn]] void refuse(const fs::path& path, const std::string& why) { fail(Exit::data, path.string() + ": " + why); }

}  // namespace

TokenShard::TokenShard(const fs::path& path) : file_(std::make_unique<InputFile>(path, int(Exit::data))) {
    if (const fs::path index = fs::path(path).replace_extension(".idx");
        path.extension() == ".bin" && fs::exists(index)) {
        open_megatron(index);
        return;
    }
    int32_t header[kHeaderInts];
    if (file_->size() < sizeof header) refuse(path, "too short for a token shard");
    file_->read(header, sizeof header, 0);
    if (header[0] != kMagic16 && header[0] != kMagic32)
        refuse(path, "not a token shard: its magic number is " + std::to_string(header[0]));
    const bool wide = header[0] == kMagic32;
    if (header[1] != (wide ? 7 : 1)) refuse(path, "shard version " + std::to_string(header[1]) + " is not known");
    format_ = wide ? "llm.c uint32" : "llm.c uint16";
    width_ = wide ? 4 : 2;
    header_ = sizeof header;
    count_ = header[2];
    if (count_ < 0 || int64_t(file_->size()) != header_ + count_ * width_)
        refuse(path, "its header says " + std::to_string(count_) + " tokens, its size is " +
                         std::to_string(file_->size()) + " bytes");
}

// The index: magic, version, type of the ids, numbers of sequences and documents, lengths, byte offsets, documents. Not
// aligned.
void TokenShard::open_megatron(const fs::path& path) {
    const InputFile index(path, int(Exit::data));
    char magic[9];
    uint64_t version = 0, sequences = 0, documents = 0;
    uint8_t type = 0;
    if (index.size() < 34) refuse(path, "too short for a Megatron index");
    index.read(magic, 9, 0);
    index.read(&version, 8, 9);
    index.read(&type, 1, 17);
    index.read(&sequences, 8, 18);
    index.read(&documents, 8, 26);
    if (std::memcmp(magic, "MMIDIDX\0\0", 9) != 0 || version != 1) refuse(path, "not a Megatron index of version 1");
    const int widths[] = {0, 1, 0, 0, 4, 0, 0, 0, 2};
    const char* formats[] = {"", "Megatron uint8", "", "", "Megatron int32", "", "", "", "Megatron uint16"};
    if (type >= std::size(widths) || widths[type] == 0)
        refuse(path, "token type " + std::to_string(type) + " is not supported");
    width_ = widths[type];
    format_ = formats[type];
    const uint64_t most = index.size();
    if (sequences > most || documents > most || 34 + 12 * sequences + 8 * documents > most)
        refuse(path, "shorter than its counts say");
    if (sequences > 0) {
        int64_t last = 0;
        int32_t length = 0;
        index.read(&length, 4, 34 + 4 * (sequences - 1));
        index.read(&last, 8, 34 + 4 * sequences + 8 * (sequences - 1));
        if (length < 0 || last < 0 || uint64_t(last) > file_->size() ||
            uint64_t(last) + uint64_t(length) * uint64_t(width_) != file_->size())
            refuse(path, "its last sequence does not end where " + file_->path().filename().string() + " does");
    }
    if (file_->size() % size_t(width_) != 0) refuse(file_->path(), "ends in the middle of a token");
    count_ = int64_t(file_->size()) / width_;
}

void TokenShard::read(int64_t start, int64_t count, int32_t* tokens, int64_t vocab) const {
    check(start >= 0 && count >= 0 && start + count <= count_, "a read beyond a shard");
    // The raw ids fit in the space of the wide ones: read at its end, widened from the front.
    char* raw = reinterpret_cast<char*>(tokens) + count * (4 - width_);
    file_->read(raw, size_t(count * width_), size_t(header_ + start * width_));
    for (int64_t i = 0; i < count; i++) {
        uint32_t id = 0;
        std::memcpy(&id, raw + i * width_, size_t(width_));
        if (vocab > 0 && id >= uint64_t(vocab))
            refuse(path(), "token " + std::to_string(start + i) + " is id " + std::to_string(id) +
                               ", outside the vocabulary of " + std::to_string(vocab));
        tokens[i] = int32_t(id);
    }
}

void write_shard(const fs::path& path, const std::vector<int32_t>& tokens, int64_t vocab) {
    if (tokens.size() > size_t(INT32_MAX)) refuse(path, "a shard holds at most 2147483647 tokens");
    const bool wide = vocab > 65536;
    int32_t header[kHeaderInts] = {wide ? kMagic32 : kMagic16, wide ? 7 : 1, int32_t(tokens.size())};
    const fs::path temporary = path.string() + ".tmp";
    OutputFile file(temporary);
    file.write(header, sizeof header);
    if (wide) {
        file.write(tokens.data(), tokens.size() * 4);
    } else {
        const std::vector<uint16_t> narrow(tokens.begin(), tokens.end());
        file.write(narrow.data(), narrow.size() * 2);
    }
    file.close();
    rename_path(temporary, path);
}

std::vector<fs::path> shard_files(const std::string& path) {
    std::vector<fs::path> files;
    if (fs::is_directory(path)) {
        for (const auto& entry : fs::directory_iterator(path))
            if (entry.path().extension() == ".bin") files.push_back(entry.path());
    } else if (fs::exists(path)) {
        files.push_back(path);
    } else {
        glob_t found = {};
        if (glob(path.c_str(), 0, nullptr, &found) == 0) files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
        globfree(&found);
    }
    if (files.empty()) fail(Exit::data, path + ": no token shards there");
    std::sort(files.begin(), files.end());
    return files;
}

ShardNotes read_notes(const fs::path& folder) {
    const fs::path path = folder / "tokens.json";
    ShardNotes notes;
    if (!fs::exists(path)) return notes;
    try {
        const Json json = parse_json(read_file(path, int(Exit::data), kLargestNotes));
        notes.tokenizer = to_text(member(json, "tokenizer"), "tokenizer");
        if (notes.tokenizer != "bytes" && !notes.tokenizer.empty())
            notes.tokenizer = (folder / notes.tokenizer).string();
        notes.delimiter = to_integer(member(json, "delimiter"), "delimiter");
        notes.vocab = to_integer(member(json, "vocab"), "vocab");
        if (!member(json, "text_bytes").is_object()) throw JsonError("'text_bytes' is not an object");
        for (const auto& [name, bytes] : json["text_bytes"].items())
            notes.text_bytes[name] = to_integer(bytes, "text_bytes");
    } catch (const JsonError& e) { refuse(path, e.what()); }
    return notes;
}

void write_notes(const fs::path& folder, const ShardNotes& notes) {
    Json json;
    json["tokenizer"] = notes.tokenizer == "bytes" ? notes.tokenizer : fs::path(notes.tokenizer).filename().string();
    json["delimiter"] = notes.delimiter.value_or(0);
    json["vocab"] = notes.vocab.value_or(0);
    json["text_bytes"] = notes.text_bytes;
    write_file(folder / "tokens.json", json.dump(1) + "\n");
}

}  // namespace sluice
