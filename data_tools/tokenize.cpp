// Text to token shards: one thread reads and writes, the others parse and tokenize.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

#include "base/check.h"
#include "base/file.h"
#include "base/format.h"
#include "base/workers.h"
#include "cli/terminal.h"
#include "data/shard_output.h"
#include "data_tools/commands.h"
#include "documents/documents.h"
#include "documents/text_check.h"
#include "text/text_parts.h"
#include "text/tokenizer.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr size_t kBatch = size_t{1} << 20;  // bytes of text per task
constexpr size_t kLargestTokenizer = size_t{1} << 28;

struct Encoded {
    struct Part {
        int64_t tokens, bytes;
        bool validation, continues;
        bool broken = false;  // could not be read; its document is left out from here on
    };
    std::vector<int32_t> tokens;  // of all parts, one after another
    std::vector<Part> parts;
    int64_t empty = 0;                  // documents without text
    std::vector<std::string> left_out;  // messages of documents that could not be read
};

// A pure function of the text, so that a document keeps its side however files are split and ordered.
bool is_validation(uint64_t hash_of_whole, double share) { return double(hash_of_whole) < share * 0x1p64; }

// Appends the tokens of a document to `all`.
void encode_one(const RawDocument& document, const Tokenizer& tokenizer, const TokenizeArgs& args, Encoded& all) {
    const std::string text = text_of(document, args.text_key);
    if (text.empty()) {
        all.empty++;
        return;
    }
    std::vector<int32_t> ids;
    try {
        ids = encode_in_parts(tokenizer, text, document.continues);
    } catch (const Failure& f) { fail(f.code(), place_of(document) + ": " + f.what()); }
    const size_t before = all.tokens.size();
    if (!document.continues) all.tokens.push_back(tokenizer.delimiter());
    all.tokens.insert(all.tokens.end(), ids.begin(), ids.end());
    all.parts.push_back({int64_t(all.tokens.size() - before), int64_t(text.size()),
                         args.validation > 0 && !document.continues &&
                             is_validation(document.hash ? *document.hash : hash_of_text(text), args.validation),
                         document.continues});
}

Encoded encode(const std::vector<RawDocument>& documents, const Tokenizer& tokenizer, const TokenizeArgs& args) {
    Encoded all;
    for (const RawDocument& document : documents) try {
            encode_one(document, tokenizer, args, all);
        } catch (const Failure& f) {
            if (f.code() != Exit::data) throw;
            if (args.on_error == OnError::refuse)
                fail(f.code(), std::string(f.what()) + " (--on-error skip leaves such documents out)");
            all.left_out.push_back(f.what());
            all.parts.push_back({0, 0, false, document.continues, true});
        }
    return all;
}

// Copies the tokenizer beside the shards, so that they can be moved together.
void keep_tokenizer(const TokenizeArgs& args) {
    for (const fs::path& file : tokenizer_files(args.tokenizer)) {
        const fs::path copy = fs::path(args.out) / file.filename();
        const std::string text = read_file(file, int(Exit::data), kLargestTokenizer, Links::follow);
        for (const char* half : {"", "_train", "_val"})
            if (copy.filename() == args.name + half + ".json")
                fail(Exit::config, "--name " + args.name + ": the set's file would be called as the tokenizer's, " +
                                       copy.filename().string());
        if (!fs::exists(copy)) {
            make_folders(args.out);
            write_file(copy, text);
        } else if (read_file(copy, int(Exit::data), kLargestTokenizer, Links::follow) != text) {
            fail(Exit::data, copy.string() + ": another tokenizer of that name is there: use another folder");
        }
    }
}

void print_set(const std::string& name, const ShardOutput& set, int64_t vocab) {
    const double text_tokens = double(std::max<int64_t>(1, set.tokens - set.documents));
    print_line(fmt::format("{}: {}, {} in {}, {:.3f} bytes a token, vocabulary {}", name,
                           counted(set.documents, "document"), counted(set.tokens, "token"),
                           counted(int64_t(set.shards().size()), "shard"), double(set.text_bytes) / text_tokens,
                           vocab));
}

// Writes the results of the workers, in order, to the set or the two sets.
class Writer {
 public:
    // empty: number of documents without text that were left out so far.
    Writer(const TokenizeArgs& args, const ShardSet& facts, int64_t empty)
        : args_(args),
          split_(args.validation > 0),
          output_(args.out, name("_train"), facts, args.shard_tokens, args.replace),
          empty_(empty) {
        if (split_) held_out_.emplace(args.out, name("_val"), facts, args.shard_tokens, args.replace);
    }
    void add(const Encoded& encoded) {
        const int32_t* tokens = encoded.tokens.data();
        for (const Encoded::Part& part : encoded.parts) {
            if (!part.continues) last_ = part.validation ? &*held_out_ : &output_;
            if (part.broken || !part.continues) leaving_out_ = part.broken;
            if (!leaving_out_) last_->add(tokens, part.tokens, part.bytes, part.continues);
            tokens += part.tokens;
        }
        empty_ += encoded.empty;
        left_out_.add(encoded.left_out);
    }
    int64_t tokens() const { return output_.tokens + (split_ ? held_out_->tokens : 0); }
    int64_t text_bytes() const { return output_.text_bytes + (split_ ? held_out_->text_bytes : 0); }
    int64_t documents() const { return output_.documents + (split_ ? held_out_->documents : 0); }
    // Completes the sets and prints what they hold.
    void finish(int64_t vocab) {
        left_out_.print();
        if (split_ && held_out_->tokens == 0)
            fail(Exit::data, "no document fell to the validation set: raise --validation, or give more documents");
        output_.finish();
        print_set(name("_train"), output_, vocab);
        if (split_) {
            held_out_->finish();
            print_set(name("_val"), *held_out_, vocab);
        }
        if (empty_ > 0)
            print_line(
                fmt::format("{} without text {} left out", counted(empty_, "document"), empty_ == 1 ? "was" : "were"));
    }

 private:
    std::string name(const char* side) const { return split_ ? args_.name + side : args_.name; }

    const TokenizeArgs& args_;
    bool split_;
    ShardOutput output_;
    std::optional<ShardOutput> held_out_;
    ShardOutput* last_ = &output_;  // set of the last document, which may continue
    bool leaving_out_ = false;      // whether the rest of that document is left out
    int64_t empty_;
    LeftOut left_out_;
};

// "1.2M bytes of text/s | 301K tokens/s"
std::string rates(const Writer& writer, double seconds) {
    const double s = std::max(seconds, 1e-3);
    return format_count(double(writer.text_bytes()) / s) + " bytes of text/s | " +
           format_count(double(writer.tokens()) / s) + " tokens/s";
}

void print_whole(const Writer& writer, double seconds) {
    const double text_tokens = double(std::max<int64_t>(1, writer.tokens() - writer.documents()));
    print_line(fmt::format("in all {}, {}, {} of text, {:.3f} bytes a token | {} | {}",
                           counted(writer.documents(), "document"), counted(writer.tokens(), "token"),
                           counted(writer.text_bytes(), "byte"), double(writer.text_bytes()) / text_tokens,
                           format_seconds(seconds), rates(writer, seconds)));
}

void refuse_arguments(const TokenizeArgs& args) {
    if (args.shard_tokens < 1 || args.shard_tokens > INT32_MAX)
        fail(Exit::config, "--shard-tokens must be within 1 and 2147483647");
    if (!(args.validation >= 0 && args.validation < 1)) fail(Exit::config, "--validation must be 0 or more, below 1");
    if (args.name.empty() || args.name[0] == '.' || args.name.find('/') != std::string::npos)
        fail(Exit::config, "--name must name files: no '/', no leading '.'");
}

}  // namespace

int tokenize_command(const TokenizeArgs& args) {
    refuse_arguments(args);
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
    int64_t empty = 0;
    const auto files = text_files(args.inputs, &empty);
    refuse_no_text(files, args.format, args.on_error == OnError::skip);
    const auto tokenizer = open_tokenizer(args.tokenizer, args.delimiter);
    ShardSet facts;
    facts.fingerprint = fingerprint_of(args.tokenizer);
    facts.tokenizer = args.tokenizer == "bytes" ? args.tokenizer : fs::path(args.tokenizer).filename().string();
    facts.vocab = tokenizer->vocab();
    facts.delimiter = tokenizer->delimiter();

    Writer writer(args, facts, empty);
    if (args.tokenizer != "bytes") keep_tokenizer(args);

    DocumentReader reader(files, args.format, DocumentReader::kLongestLine, tokenizer.get());
    const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
    Workers<Encoded> workers(args.threads > 0 ? args.threads : int(cores));
    ProgressLine progress("tokenize", "", double(total_bytes(files)));
    const auto write_oldest = [&] {
        writer.add(workers.take());
        progress.at(double(reader.bytes_read()),
                    rates(writer, seconds()) + " | " + format_count(double(writer.tokens())) + " tokens");
    };
    for (std::vector<RawDocument> batch; reader.next(batch, kBatch);) {
        while (workers.full()) write_oldest();
        workers.give([batch = std::move(batch), &tokenizer, &args] { return encode(batch, *tokenizer, args); });
        batch = {};
    }
    while (!workers.empty()) write_oldest();
    writer.finish(facts.vocab);
    print_whole(writer, seconds());
    return 0;
}

}  // namespace sluice
