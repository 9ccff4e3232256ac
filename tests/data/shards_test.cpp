// Shards and sets as others leave them: documents without tokens, a tokenizer in another folder.
#include <gtest/gtest.h>

#include <fstream>

#include "base/check.h"
#include "data/shard_set.h"
#include "data/token_shard.h"
#include "support/folder.h"

namespace sluice {
namespace {

// Megatron's index of sequences of these lengths, each a document, of ids of 4 bytes.
std::string megatron_index(const std::vector<int32_t>& lengths) {
    std::string index("MMIDIDX\0\0", 9);
    const auto put = [&](auto x) { index.append(reinterpret_cast<const char*>(&x), sizeof x); };
    put(uint64_t{1}), put(uint8_t{4}), put(uint64_t(lengths.size())), put(uint64_t(lengths.size() + 1));
    for (const int32_t length : lengths) put(length);
    int64_t at = 0;
    for (const int32_t length : lengths) put(at), at += 4 * length;
    for (size_t i = 0; i <= lengths.size(); i++) put(int64_t(i));
    return index;
}

TEST(MegatronShard, DocumentsWithoutTokensHideNone) {
    const Folder folder;
    std::ofstream(folder / "m.bin", std::ios::binary) << std::string(9 * 4, '\0');
    std::ofstream(folder / "m.idx", std::ios::binary) << megatron_index({2, 0, 0, 3, 1, 0, 3, 0});
    const TokenShard shard(folder / "m.bin");
    ASSERT_EQ(shard.size(), 9);
    for (int64_t start = 0; start < 9; start++) {
        std::vector<int32_t> first(size_t(9 - start)), expected;
        shard.document_starts(start, 9 - start, first.data());
        int32_t began = 0;
        for (int64_t t = start; t < 9; t++) {
            if (t == 2 || t == 5 || t == 6) began = int32_t(t - start);
            expected.push_back(began);
        }
        EXPECT_EQ(first, expected) << "from token " << start;
    }
}

TEST(Shard, IdsThatNeedMoreThanTwoBytesGetFour) {
    const Folder folder;
    for (const auto& [vocab, width] : {std::pair{65536, 2}, {65537, 4}}) {
        const std::vector<int32_t> ids{0, vocab - 1, 7};
        write_shard(folder / "a.bin", ids, vocab);
        const TokenShard shard(folder / "a.bin");
        EXPECT_EQ(shard.bytes_per_token(), width) << vocab;
        std::vector<int32_t> read(3);
        shard.read(0, 3, read.data(), vocab);
        EXPECT_EQ(read, ids);
    }
}

TEST(Shard, AnIdAsLargeAsTheVocabularyIsRefused) {
    const Folder folder;
    write_shard(folder / "a.bin", {3, 10, 4}, 100);
    const TokenShard shard(folder / "a.bin");
    std::vector<int32_t> read(3);
    EXPECT_NO_THROW(shard.read(0, 3, read.data(), 11));
    EXPECT_THROW(shard.read(0, 3, read.data(), 10), Failure);
    EXPECT_NO_THROW(shard.read(0, 1, read.data(), 10)) << "another token's";
}

TEST(Shard, KnowsItsLargestId) {
    const Folder folder;
    ShardWriter writer(folder / "a.bin", 100);
    for (const std::vector<int32_t>& ids : {std::vector<int32_t>{5, 9, 2}, {0, 7}}) {
        writer.add(ids.data(), int64_t(ids.size()));
        EXPECT_EQ(writer.largest(), 9);
    }
    writer.close();
}

// A set can be moved with its tokenizer: it knows the file's name, not its folder.
TEST(ShardSet, KnowsItsTokenizerByTheNameBesideIt) {
    const Folder folder;
    ShardSet set;
    set.tokenizer = "/elsewhere/t.model";
    set.fingerprint = "0123";
    set.vocab = 300;
    set.delimiter = 7;
    set.shards.push_back({"a_000000.bin", 10, 2, 33, 299, "hash"});
    write_shard_set(folder / "a.json", set);
    const ShardSet read = read_shard_set(folder / "a.json");
    EXPECT_EQ(read.tokenizer, (folder / "t.model").string());
    EXPECT_EQ(read.fingerprint, set.fingerprint);
    EXPECT_EQ(read.vocab, 300);
    EXPECT_EQ(read.delimiter, 7);
    ASSERT_EQ(read.shards.size(), 1u);
    const ShardFacts& facts = *read.find("any/folder/a_000000.bin");
    EXPECT_EQ(facts.tokens, 10);
    EXPECT_EQ(facts.documents, 2);
    EXPECT_EQ(facts.text_bytes, 33);
    EXPECT_EQ(facts.largest_id, 299);
    EXPECT_EQ(facts.hash, "hash");
    EXPECT_EQ(read.find("a_000001.bin"), nullptr);
}

}  // namespace
}  // namespace sluice
