// Text to token shards: one thread reads and writes, the others parse and tokenize.
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

#include "base/check.h"
#include "base/file.h"
#include "base/format.h"
#include "base/terminal.h"
#include "data_tools/commands.h"
#include "data_tools/documents.h"
#include "data_tools/shard_output.h"
#include "data_tools/tokenizer.h"
#include "data_tools/workers.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr size_t kBatch = size_t{1} << 20;  // bytes of text a task
constexpr size_t kLargestTokenizer = size_t{1} << 28;

struct Encoded {
    struct Part {
        int64_t tokens, bytes;
        bool validation, continues;
    };
    std::vector<int32_t> tokens;  // of all parts
    std::vector<Part> parts;
    int64_t empty = 0;  // documents without text
};

// A pure function of the text, so that a document stands on one side however the files are cut and ordered.
bool is_validation(const std::string& text, double share) {
    return share > 0 && double(XXH3_64bits(text.data(), text.size())) < share * 0x1p64;
}

Encoded encode(const std::vector<RawDocument>& documents, const Tokenizer& tokenizer, const TokenizeArgs& args) {
    Encoded all;
    for (const RawDocument& document : documents) {
        const std::string text = text_of(document, args.text_key);
        if (text.empty()) {
            all.empty++;
            continue;
        }
        const size_t before = all.tokens.size();
        if (!document.continues) all.tokens.push_back(tokenizer.delimiter());
        try {
            const auto ids = tokenizer.encode(text);
            all.tokens.insert(all.tokens.end(), ids.begin(), ids.end());
        } catch (const Failure& f) {
            const std::string line = document.line > 0 ? ":" + std::to_string(document.line) : "";
            fail(f.code(), *document.file + line + ": " + f.what());
        }
        all.parts.push_back({int64_t(all.tokens.size() - before), int64_t(text.size()),
                             !document.continues && is_validation(text, args.validation), document.continues});
    }
    return all;
}

// The tokenizer goes beside the shards, so that they can be moved together.
void keep_tokenizer(const TokenizeArgs& args, const std::string& fingerprint) {
    const fs::path copy = fs::path(args.out) / fs::path(args.tokenizer).filename();
    if (fs::exists(copy)) {
        if (fingerprint_of(copy.string()) != fingerprint)
            fail(Exit::data, copy.string() + ": another tokenizer of that name is there: use another folder");
        return;
    }
    make_folders(args.out);
    write_file(copy, read_file(args.tokenizer, int(Exit::data), kLargestTokenizer, Links::follow));
}

void print_set(const std::string& name, const ShardOutput& set, int64_t vocab) {
    const double text_tokens = double(std::max<int64_t>(1, set.tokens - set.documents));
    std::printf("%s: %lld documents, %lld tokens in %zu shards, %.3f bytes a token, vocabulary %lld\n", name.c_str(),
                (long long)set.documents, (long long)set.tokens, set.shards().size(),
                double(set.text_bytes) / text_tokens, (long long)vocab);
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
    const auto files = text_files(args.inputs);
    refuse_no_text(files, Format::automatic, false);
    const auto tokenizer = open_tokenizer(args.tokenizer, args.delimiter);
    ShardSet facts;
    facts.fingerprint = fingerprint_of(args.tokenizer);
    facts.tokenizer = args.tokenizer == "bytes" ? args.tokenizer : fs::path(args.tokenizer).filename().string();
    facts.vocab = tokenizer->vocab();
    facts.delimiter = tokenizer->delimiter();

    const bool split = args.validation > 0;
    ShardOutput output(args.out, split ? args.name + "_train" : args.name, facts, args.shard_tokens, args.replace);
    std::optional<ShardOutput> held_out;
    if (split) held_out.emplace(args.out, args.name + "_val", facts, args.shard_tokens, args.replace);
    if (args.tokenizer != "bytes") keep_tokenizer(args, facts.fingerprint);

    DocumentReader reader(files);
    const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
    Workers<Encoded> workers(args.threads > 0 ? args.threads : int(cores));
    ProgressLine progress("tokenize", "bytes", double(total_bytes(files)));
    int64_t empty = 0;
    ShardOutput* last = &output;  // of the last document, which may go on
    const auto write_oldest = [&] {
        const Encoded encoded = workers.take();
        const int32_t* tokens = encoded.tokens.data();
        for (const Encoded::Part& part : encoded.parts) {
            if (!part.continues) last = part.validation ? &*held_out : &output;
            last->add(tokens, part.tokens, part.bytes, part.continues);
            tokens += part.tokens;
        }
        empty += encoded.empty;
        progress.at(double(reader.bytes_read()),
                    format_count(double(output.tokens + (split ? held_out->tokens : 0))) + " tokens");
    };
    for (std::vector<RawDocument> batch; reader.next(batch, kBatch);) {
        while (workers.full()) write_oldest();
        workers.give([batch = std::move(batch), &tokenizer, &args] { return encode(batch, *tokenizer, args); });
        batch = {};
    }
    while (!workers.empty()) write_oldest();
    if (split && held_out->tokens == 0)
        fail(Exit::data, "no document fell to the validation set: raise --validation, or give more documents");
    output.finish();
    print_set(split ? args.name + "_train" : args.name, output, facts.vocab);
    if (split) {
        held_out->finish();
        print_set(args.name + "_val", *held_out, facts.vocab);
    }
    if (empty > 0) std::printf("%lld documents without text were left out\n", (long long)empty);
    return 0;
}

}  // namespace sluice
