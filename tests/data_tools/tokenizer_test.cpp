// Text to tokens and back to the letter; shards with their notes; bad input.
#include "data_tools/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/check.h"
#include "base/token_shard.h"
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
        train_tokenizer_command({{(folder / "c.txt").string()}, (folder / name).string(), 320});
    EXPECT_EQ(read_file(folder / "a.model", 3, 1 << 24), read_file(folder / "b.model", 3, 1 << 24));
    const auto t = open_tokenizer((folder / "a.model").string());
    EXPECT_EQ(t->vocab(), 320);
    for (const std::string text : {kText, "", " ", "\n", "  two  spaces  ", "never seen: \xf0\x9f\x98\x80 Zzyzx"})
        EXPECT_EQ(t->decode(t->encode(text)), text);
    EXPECT_LT(t->encode(kText).size(), std::string(kText).size());
    EXPECT_THROW(train_tokenizer_command({{(folder / "c.txt").string()}, (folder / "x").string(), 100000}), Failure);
    EXPECT_THROW(train_tokenizer_command({{(folder / "none.txt").string()}, (folder / "x").string(), 320}), Failure);
    EXPECT_THROW(open_tokenizer((folder / "c.txt").string()), Failure);
}

TEST(Tokenize, WritesShardsAndNotes) {
    const Folder folder;
    std::ofstream(folder / "a.txt") << "abcdef";
    std::ofstream(folder / "b.jsonl") << "{\"text\": \"gh\"}\n\n{\"text\": \"\\u00e9\"}\n";
    TokenizeArgs args;
    args.inputs = {(folder / "a.txt").string(), (folder / "b.jsonl").string()};
    args.out = (folder / "out").string();
    args.shard_tokens = 8;
    tokenize_command(args);
    const auto files = shard_files(args.out);
    ASSERT_EQ(files.size(), 2u);
    std::vector<int32_t> ids;
    for (const auto& file : files) {
        const TokenShard shard(file);
        std::vector<int32_t> part(size_t(shard.size()));
        shard.read(0, shard.size(), part.data(), 257);
        ids.insert(ids.end(), part.begin(), part.end());
    }
    EXPECT_EQ(ids, (std::vector<int32_t>{256, 'a', 'b', 'c', 'd', 'e', 'f', 256, 'g', 'h', 256, 0xc3, 0xa9}));
    const ShardNotes notes = read_notes(args.out);
    EXPECT_EQ(notes.tokenizer, "bytes");
    EXPECT_EQ(notes.delimiter, 256);
    int64_t bytes = 0;
    for (const auto& [name, n] : notes.text_bytes) bytes += n;
    EXPECT_EQ(bytes, 10);
    EXPECT_EQ(inspect_command(args.out, true), 0);
    std::ofstream(folder / "bad.jsonl") << "{\"text\": 3}\n";
    args.inputs = {(folder / "bad.jsonl").string()};
    EXPECT_THROW(tokenize_command(args), Failure);
}

}  // namespace
}  // namespace sluice
