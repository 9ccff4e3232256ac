// sluice-data: text in, token shards out.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <functional>

#include "base/check.h"
#include "base/version.h"
#include "cli/command_line.h"
#include "cli/standard_streams.h"
#include "cli/terminal.h"
#include "data_tools/commands.h"

namespace sluice {
namespace {

// Runs a command, flushes stdout and returns the exit code. A failure is one line on stderr.
int guarded(const std::function<int()>& command) {
    try {
        const int code = command();
        finish_stdout();
        return code;
    } catch (const Failure& f) {
        print_error(f.what());
        return int(f.code());
    } catch (const std::exception& e) {
        print_error(e.what());
        return int(Exit::other);
    }
}

// The options for reading inputs.
void add_reading(CLI::App& app, Format& format, OnError& on_error) {
    app.add_option_function<std::string>(
           "--format", [&format](const std::string& word) { format = to_format(word); },
           "auto (told by the content), jsonl or text")
        ->check(CLI::IsMember({"auto", "jsonl", "text"}))
        ->default_str("auto");
    app.add_option_function<std::string>(
           "--on-error", [&on_error](const std::string& word) { on_error = to_on_error(word); },
           "a document that cannot be read: refuse, or skip it and tell how many and where")
        ->check(CLI::IsMember({"refuse", "skip"}))
        ->default_str("refuse");
}

CLI::App* add_tokenize(CLI::App& app, TokenizeArgs& args) {
    auto* t = app.add_subcommand("tokenize", "text files to token shards");
    t->add_option("inputs", args.inputs,
                  "files, folders or pipes (- is standard input): JSON lines (a document a line) or text (a document a "
                  "file), also as gzip or zstd")
        ->required();
    t->add_option(
         "--tokenizer", args.tokenizer,
         "bytes, a SentencePiece model, a tokenizer.json, a .tiktoken file, or GPT-2's encoder.json or vocab.bpe")
        ->capture_default_str();
    t->add_option("--out", args.out, "folder of the shards")->required();
    t->add_option("--name", args.name, "shards are NAME_000000.bin, ...")->capture_default_str();
    t->add_option("--text-key", args.text_key, "key of the text in JSON lines")->capture_default_str();
    add_reading(*t, args.format, args.on_error);
    t->add_option("--delimiter", args.delimiter, "piece that begins a document (default: the tokenizer's usual one)");
    add_number(*t, "--validation", args.validation, 0.0, 1.0,
               "share of documents, by hash, for NAME_val; the rest is NAME_train (default: none)")
        ->default_str("");
    add_number<int64_t>(*t, "--shard-tokens", args.shard_tokens, 1, INT32_MAX, "tokens a shard");
    add_number(*t, "--threads", args.threads, 1, 1024, "threads (default: every core)")->default_str("");
    t->add_flag("--replace", args.replace, "replace the set of this name");
    t->footer(
        "Example: sluice-data tokenize --tokenizer tokenizer.json --out shards --name web --validation 0.01 "
        "crawl/*.jsonl.zst");
    return t;
}

int run(int argc, char** argv) {
    CLI::App app("Prepares text for Sluice: text in, token shards out.", "sluice-data");
    app.require_subcommand(1);
    app.set_version_flag("--version", fmt::format("sluice-data {} (commit {})", version(), commit()));
    app.footer("sluice-data help COMMAND tells a command's options, with an example.");
    TokenizeArgs tokenize;
    TrainTokenizerArgs train;
    std::string shard, tokenizer;
    int64_t samples = 2;
    bool json = false;

    auto* t = add_tokenize(app, tokenize);
    auto* i = app.add_subcommand("inspect", "what token shards hold, and whether it is what was written");
    i->add_option("shard", shard, "a shard, a folder or a glob")->required();
    i->add_option("--tokenizer", tokenizer, "for foreign shards: what to decode samples with");
    add_number<int64_t>(*i, "--samples", samples, 0, INT32_MAX, "documents to decode, of each shard");
    i->add_flag("--json", json, "one JSON object on stdout");
    i->footer("Example: sluice-data inspect 'shards/web_train_*.bin' --samples 5");
    auto* b = app.add_subcommand("train-tokenizer", "a SentencePiece BPE model with byte fallback");
    b->add_option("inputs", train.inputs, "files or folders, as for tokenize")->required();
    add_number<int64_t>(*b, "--vocab", train.vocab, 1, INT32_MAX, "pieces");
    b->add_option("--out", train.out, "the model's file")->required();
    b->add_option("--text-key", train.text_key, "key of the text in JSON lines")->capture_default_str();
    add_reading(*b, train.format, train.on_error);
    add_number<int64_t>(*b, "--megabytes", train.megabytes, 1, 1 << 20,
                        "text to learn from at most, the same of each file");
    b->footer("Example: sluice-data train-tokenizer --vocab 16384 --out my.model corpus/*.jsonl.zst");
    return guarded([&] {
        if (!read_command_line(app, argc, argv)) return int(Exit::done);
        if (*t) return tokenize_command(tokenize);
        if (*i) return inspect_command(shard, tokenizer, samples, json);
        return train_tokenizer_command(train);
    });
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
    sluice::secure_standard_streams();
    return sluice::run(argc, argv);
}
