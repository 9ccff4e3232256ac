// sluice-data: text in, token shards out.
#include <CLI/CLI.hpp>

#include "base/check.h"
#include "base/terminal.h"
#include "data_tools/commands.h"

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app("Prepares text for Sluice.", "sluice-data");
    app.require_subcommand(1);
    TokenizeArgs tokenize;
    TrainTokenizerArgs train;
    std::string shard;
    bool json = false;

    auto* t = app.add_subcommand("tokenize", "text files to token shards");
    t->add_option("inputs", tokenize.inputs, ".txt: a document each; .jsonl: a document a line, key text")->required();
    t->add_option("--tokenizer", tokenize.tokenizer, "bytes, or a SentencePiece model")->capture_default_str();
    t->add_option("--out", tokenize.out, "folder of the shards")->required();
    t->add_option("--name", tokenize.name, "shards are NAME_000000.bin, ...")->capture_default_str();
    t->add_option("--shard-tokens", tokenize.shard_tokens, "tokens a shard")->capture_default_str();
    auto* i = app.add_subcommand("inspect", "what token shards hold");
    i->add_option("shard", shard, "a shard, a folder or a glob")->required();
    i->add_flag("--json", json, "one JSON object on stdout");
    auto* b = app.add_subcommand("train-tokenizer", "a SentencePiece BPE model with byte fallback");
    b->add_option("inputs", train.inputs, "text files")->required();
    b->add_option("--vocab", train.vocab, "pieces")->capture_default_str();
    b->add_option("--out", train.out, "the model's file")->required();
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& e) { return app.exit(e); } catch (const CLI::ParseError& e) {
        print_error(std::string(e.what()) + " (see sluice-data --help)");
        return int(Exit::config);
    }
    try {
        if (*t) return tokenize_command(tokenize);
        if (*i) return inspect_command(shard, json);
        return train_tokenizer_command(train);
    } catch (const Failure& f) {
        print_error(f.what());
        return int(f.code());
    } catch (const std::exception& e) {
        print_error(e.what());
        return int(Exit::other);
    }
}
