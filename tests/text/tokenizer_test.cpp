// Text to tokens and back to the letter; shards with their notes; bad input.
#include "text/tokenizer.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <cstdlib>
#include <fstream>

#include "base/check.h"
#include "data/shard_set.h"
#include "data/token_shard.h"
#include "data_tools/commands.h"
#include "support/folder.h"

namespace sluice {
namespace {

const char* kText =
    "It is a truth universally acknowledged,\n\n  that a single man   in possession\tof a good fortune,\nmust be in "
    "want of a wife. 1813 \xc3\xa9\xe2\x82\xac\n";

TEST(Bytes, RoundTrip) {
    const auto t = open_tokenizer("bytes");
    std::string all;
    for (int i = 0; i < 256; i++) all += char(i);
    EXPECT_EQ(t->decode(t->encode(all)), all);
    EXPECT_EQ(t->vocab(), 257);
    EXPECT_EQ(t->delimiter(), 256);
}

TEST(SentencePiece, TrainsDeterministicallyAndRoundTrips) {
    const Folder folder;
    std::ofstream corpus(folder / "c.txt");
    for (int i = 0; i < 50; i++) corpus << kText;
    corpus.close();
    for (const char* name : {"a.model", "b.model"})
        train_tokenizer_command({{(folder / "c.txt").string()}, (folder / name).string(), "text", 320});
    EXPECT_EQ(read_file(folder / "a.model", 3, 1 << 24), read_file(folder / "b.model", 3, 1 << 24));
    const auto t = open_tokenizer((folder / "a.model").string());
    EXPECT_EQ(t->vocab(), 320);
    for (const std::string text : {kText, "", " ", "\n", "  two  spaces  ", "never seen: \xf0\x9f\x98\x80 Zzyzx"})
        EXPECT_EQ(t->decode(t->encode(text)), text);
    EXPECT_LT(t->encode(kText).size(), std::string(kText).size());
    EXPECT_THROW(train_tokenizer_command({{(folder / "c.txt").string()}, (folder / "x").string(), "text", 100000}),
                 Failure);
    EXPECT_THROW(train_tokenizer_command({{(folder / "none.txt").string()}, (folder / "x").string(), "text", 320}),
                 Failure);
    EXPECT_THROW(open_tokenizer((folder / "c.txt").string()), Failure);
}

// All tokens of a set, its facts, and the documents' beginnings counted over all shards.
struct Read {
    std::vector<int32_t> tokens;
    std::vector<int64_t> documents;
    ShardSet set;
};
Read read_set(const std::filesystem::path& path) {
    Read all;
    all.set = read_shard_set(path);
    for (const ShardFacts& facts : all.set.shards) {
        const TokenShard shard(path.parent_path() / facts.file);
        const auto before = int64_t(all.tokens.size());
        all.tokens.resize(size_t(before + shard.size()));
        shard.read(0, shard.size(), all.tokens.data() + before, all.set.vocab);
        EXPECT_EQ(facts.tokens, shard.size());
        for (int64_t i = 0; i < shard.documents(); i++)
            if (shard.document(i).start >= 0) all.documents.push_back(before + shard.document(i).start);
    }
    return all;
}
int64_t text_bytes(const ShardSet& set) {
    int64_t bytes = 0;
    for (const ShardFacts& facts : set.shards) bytes += facts.text_bytes;
    return bytes;
}
int exit_of(const TokenizeArgs& args, std::string* message = nullptr) {
    try {
        return tokenize_command(args);
    } catch (const Failure& f) {
        if (message) *message = f.what();
        return int(f.code());
    }
}
std::string compressed(const std::string& text) {
    std::string out(ZSTD_compressBound(text.size()), 0);
    out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
    return out;
}

TEST(Tokenize, WritesASetOfShards) {
    const Folder folder;
    std::ofstream(folder / "a.txt") << "abcdef";
    std::ofstream(folder / "b.jsonl.zst")
        << compressed("{\"text\": \"gh\"}\n\n{\"text\": \"\"}\n") << compressed("{\"id\": 1, \"text\": \"\\u00e9\"}");
    TokenizeArgs args;
    args.inputs = {(folder / "a.txt").string(), (folder / "b.jsonl.zst").string()};
    args.out = (folder / "out").string();
    args.shard_tokens = 5;
    ASSERT_EQ(tokenize_command(args), 0);
    EXPECT_EQ(shard_files(args.out).size(), 3u);
    const Read all = read_set(folder / "out/tokens.json");
    EXPECT_EQ(all.tokens, (std::vector<int32_t>{256, 'a', 'b', 'c', 'd', 'e', 'f', 256, 'g', 'h', 256, 0xc3, 0xa9}));
    EXPECT_EQ(all.documents, (std::vector<int64_t>{0, 7, 10}));
    EXPECT_EQ(all.set.tokenizer, "bytes");
    EXPECT_EQ(all.set.delimiter, 256);
    EXPECT_EQ(all.set.shards[1].documents, 1);
    EXPECT_EQ(text_bytes(all.set), 10);
    EXPECT_EQ(inspect_command(args.out, "", 2, true), 0);
    EXPECT_FALSE(std::filesystem::exists(folder / "out/tokens.partial"));

    EXPECT_EQ(exit_of(args), 3) << "the set is there";
    args.inputs.pop_back();
    args.replace = true;
    EXPECT_EQ(exit_of(args), 0);
    EXPECT_EQ(read_set(folder / "out/tokens.json").tokens.size(), 7u);
    EXPECT_EQ(shard_files(args.out).size(), 2u) << "no shard of the old set is left";

    std::fstream shard(folder / "out/tokens_000000.bin", std::ios::in | std::ios::out | std::ios::binary);
    shard.seekp(1026);
    shard.put('z');
    shard.close();
    EXPECT_THROW(inspect_command(args.out, "", 0, true), Failure);
}

TEST(Tokenize, BadInputIsNamedAndLeavesNothing) {
    const Folder folder;
    std::ofstream(folder / "good.jsonl") << "{\"text\": \"fine\"}\n";
    const std::string packed = compressed("{\"text\": \"gh\"}\n");
    std::ofstream(folder / "cut.jsonl.zst") << packed.substr(0, packed.size() - 2);
    std::ofstream(folder / "junk.jsonl.zst") << "not compressed";
    std::ofstream(folder / "number.jsonl") << "{\"text\": \"a\"}\n{\"text\": 3}\n";
    std::ofstream(folder / "key.jsonl") << "{\"content\": \"a\"}\n";
    std::ofstream(folder / "empty.jsonl");
    std::ofstream(folder / "a.gz") << "x";
    const std::pair<const char*, const char*> cases[] = {{"none.txt", "no such file"},
                                                         {"cut.jsonl.zst", "cut off"},
                                                         {"junk.jsonl.zst", "not what it holds"},
                                                         {"number.jsonl", "number.jsonl:2"},
                                                         {"key.jsonl", "there are: content"},
                                                         {"empty.jsonl", "is empty"},
                                                         {"a.gz", "not read here"}};
    for (const auto& [file, why] : cases) {
        TokenizeArgs args;
        if (std::string(file) != "empty.jsonl") args.inputs = {(folder / "good.jsonl").string()};
        args.inputs.push_back((folder / file).string());
        args.out = (folder / "out").string();
        std::string message;
        EXPECT_EQ(exit_of(args, &message), 3) << file;
        EXPECT_NE(message.find(why), std::string::npos) << message;
        EXPECT_TRUE(!std::filesystem::exists(args.out) || std::filesystem::is_empty(args.out)) << file;
    }
    TokenizeArgs args;
    args.inputs = {(folder / "key.jsonl").string()};
    args.out = (folder / "out").string();
    args.text_key = "content";
    EXPECT_EQ(exit_of(args), 0);
    args.validation = 1;
    EXPECT_EQ(exit_of(args), 2);
}

// The same documents whatever the files and threads; the validation set hangs on the text alone.
TEST(Tokenize, SplitsByTheText) {
    const Folder folder;
    std::vector<std::ofstream> parts;
    for (const char* name : {"0.jsonl", "1.jsonl", "all.jsonl"}) parts.emplace_back(folder / name);
    for (int i = 0; i < 4000; i++) {
        const std::string line = "{\"text\": \"document " + std::to_string(i) + std::string(600, 'x') + "\"}\n";
        parts[i < 1500 ? 0 : 1] << line;
        parts[2] << line;
    }
    parts.clear();
    TokenizeArgs args;
    args.out = (folder / "out").string();
    args.validation = 0.1;
    args.name = "two";
    args.threads = 3;
    args.inputs = {(folder / "0.jsonl").string(), (folder / "1.jsonl").string()};
    ASSERT_EQ(tokenize_command(args), 0);
    args.name = "one";
    args.threads = 1;
    args.shard_tokens = 100'000;
    args.inputs = {(folder / "all.jsonl").string()};
    ASSERT_EQ(tokenize_command(args), 0);
    for (const std::string half : {"train", "val"}) {
        const Read one = read_set(folder / ("out/one_" + half + ".json")),
                   two = read_set(folder / ("out/two_" + half + ".json"));
        EXPECT_EQ(one.tokens, two.tokens);
        EXPECT_EQ(one.documents, two.documents);
        EXPECT_EQ(text_bytes(one.set), text_bytes(two.set));
        EXPECT_NEAR(double(one.documents.size()), half == "val" ? 400 : 3600, 60);
    }
}

// A text of several parts is one document.
TEST(Tokenize, LongTexts) {
    const Folder folder;
    std::string text;
    while (text.size() < (size_t{3} << 20)) text += "A line of text, and\n\n   another one.\n";
    std::ofstream(folder / "long.txt") << text;
    for (int i = 0; i < 50; i++) std::ofstream(folder / "c.txt", std::ios::app) << kText;
    train_tokenizer_command({{(folder / "c.txt").string()}, (folder / "a.model").string(), "text", 320});
    for (const std::string& tokenizer : {std::string("bytes"), (folder / "a.model").string()}) {
        TokenizeArgs args;
        args.inputs = {(folder / "long.txt").string()};
        args.out = (folder / "out").string();
        args.name = tokenizer == "bytes" ? "b" : "s";
        args.tokenizer = tokenizer;
        ASSERT_EQ(tokenize_command(args), 0);
        const Read read = read_set(folder / ("out/" + args.name + ".json"));
        EXPECT_EQ(read.documents, std::vector<int64_t>{0});
        EXPECT_EQ(text_bytes(read.set), int64_t(text.size()));
        const auto t = open_tokenizer(tokenizer);
        auto whole = t->encode(text);
        whole.insert(whole.begin(), t->delimiter());
        EXPECT_EQ(read.tokens, whole);
    }
}

// Killed at any moment, it leaves a whole set or none.
TEST(Tokenize, KilledLeavesNothingThatLooksComplete) {
    const Folder folder;
    std::ofstream corpus(folder / "c.jsonl");
    for (int i = 0; i < 20000; i++) corpus << "{\"text\": \"document " << i << std::string(500, 'y') << "\"}\n";
    corpus.close();
    const std::string command = std::string("'") + SLUICE_DATA_PROGRAM + "' tokenize --out '" +
                                (folder / "out").string() + "' --shard-tokens 20000 '" + (folder / "c.jsonl").string() +
                                "' >/dev/null 2>&1";
    int killed = 0;  // by timeout, which in the foreground waits until its child is gone, and with it its lock
    for (int ms = 5; ms < 2000; ms = ms * 5 / 4) {
        const int status = std::system(("timeout --foreground -s KILL 0." +
                                        std::string(ms < 10    ? "00"
                                                    : ms < 100 ? "0"
                                                               : "") +
                                        std::to_string(std::min(ms, 999)) + " " + command)
                                           .c_str());
        bool complete = true;
        try {
            for (const auto& file : shard_files((folder / "out").string())) TokenShard shard(file);
            EXPECT_EQ(read_set(folder / "out/tokens.json").documents.size(), 20000u);
        } catch (const std::exception&) { complete = false; }
        EXPECT_TRUE(complete || status != 0);
        killed += status != 0 && !complete;
        if (complete) break;
    }
    EXPECT_GT(killed, 0);
    std::filesystem::remove(folder / "out/tokens.json");  // whatever came before, it can be made anew
    std::filesystem::create_directory(folder / "out/tokens.partial");
    EXPECT_EQ(std::system(command.c_str()), 0);
    EXPECT_EQ(read_set(folder / "out/tokens.json").documents.size(), 20000u);
}

}  // namespace
}  // namespace sluice
