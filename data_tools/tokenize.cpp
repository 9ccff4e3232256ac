// Text to token shards.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/check.h"
#include "base/json.h"
#include "base/token_shard.h"
#include "data_tools/commands.h"
#include "data_tools/tokenizer.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// Collects tokens and writes a shard whenever one is full. Documents may straddle shards.
class ShardWriter {
 public:
    ShardWriter(const TokenizeArgs& args, const Tokenizer& tokenizer, ShardNotes& notes)
        : args_(args), tokenizer_(tokenizer), notes_(notes) {}

    void add(const std::string& text) {
        const auto ids = tokenizer_.encode(text);
        tokens_.push_back(tokenizer_.delimiter());
        tokens_.insert(tokens_.end(), ids.begin(), ids.end());
        bytes_ += int64_t(text.size());
        pending_bytes_ += double(text.size());
        documents_++;
        while (int64_t(tokens_.size()) >= args_.shard_tokens) flush(size_t(args_.shard_tokens));
    }
    void finish() {
        if (!tokens_.empty()) flush(tokens_.size());
        std::printf("%lld documents, %lld tokens in %d shards, %.3f bytes a token, vocabulary %lld\n",
                    (long long)documents_, (long long)total_, shards_,
                    total_ > documents_ ? double(bytes_) / double(total_ - documents_) : 0.0,
                    (long long)tokenizer_.vocab());
    }

 private:
    void flush(size_t count) {
        char number[24];
        std::snprintf(number, sizeof number, "_%06d.bin", shards_++);
        const std::string file = args_.name + number;
        const std::vector<int32_t> shard(tokens_.begin(), tokens_.begin() + int64_t(count));
        write_shard(fs::path(args_.out) / file, shard, tokenizer_.vocab());
        // A document cut by the shard's end gives each side its share of bytes.
        const double share = pending_bytes_ * double(count) / double(tokens_.size());
        notes_.text_bytes[file] = int64_t(share + 0.5);
        pending_bytes_ -= double(notes_.text_bytes[file]);
        total_ += int64_t(count);
        tokens_.erase(tokens_.begin(), tokens_.begin() + int64_t(count));
    }

    const TokenizeArgs& args_;
    const Tokenizer& tokenizer_;
    ShardNotes& notes_;
    std::vector<int32_t> tokens_;
    double pending_bytes_ = 0;
    int64_t bytes_ = 0, documents_ = 0, total_ = 0;
    int shards_ = 0;
};

void add_lines(const std::string& path, ShardWriter& writer) {
    std::ifstream in(path);
    std::string line;
    for (int64_t number = 1; std::getline(in, line); number++) {
        if (line.empty()) continue;
        try {
            writer.add(to_text(member(parse_json(line), "text"), "text"));
        } catch (const JsonError& e) { fail(Exit::data, path + ":" + std::to_string(number) + ": " + e.what()); }
    }
}

void add_file(const std::string& path, ShardWriter& writer) {
    if (!fs::is_regular_file(path)) fail(Exit::data, path + ": no such file");
    if (fs::path(path).extension() == ".jsonl") return add_lines(path, writer);
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) fail(Exit::data, path + ": cannot be read, or is empty");
    writer.add(text.str());
}

// The model goes beside the shards, so that they can be moved together.
void keep_model(const TokenizeArgs& args) {
    const fs::path copy = fs::path(args.out) / fs::path(args.tokenizer).filename();
    if (fs::exists(copy) && fs::equivalent(copy, args.tokenizer)) return;
    write_file(copy, read_file(args.tokenizer, int(Exit::data), size_t{1} << 30));
}

}  // namespace

int tokenize_command(const TokenizeArgs& args) {
    const auto tokenizer = open_tokenizer(args.tokenizer);
    if (args.shard_tokens < 1 || args.shard_tokens > INT32_MAX)
        fail(Exit::data, "--shard-tokens must be within 1 and 2147483647");
    make_folders(args.out);
    ShardNotes notes = read_notes(args.out);
    const std::string name = args.tokenizer == "bytes" ? args.tokenizer : fs::path(args.tokenizer).filename().string();
    const std::string before =
        notes.tokenizer == "bytes" ? notes.tokenizer : fs::path(notes.tokenizer).filename().string();
    if (!before.empty() && (before != name || notes.vocab != tokenizer->vocab()))
        fail(Exit::data, args.out + ": its shards were made with tokenizer '" + before + "', not '" + name +
                             "'; use another folder");
    if (args.tokenizer != "bytes") keep_model(args);
    notes.tokenizer = name;
    notes.delimiter = tokenizer->delimiter();
    notes.vocab = tokenizer->vocab();
    ShardWriter writer(args, *tokenizer, notes);
    for (const auto& input : args.inputs) add_file(input, writer);
    writer.finish();
    write_notes(args.out, notes);
    return 0;
}

}  // namespace sluice
