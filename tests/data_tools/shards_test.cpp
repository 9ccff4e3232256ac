// What a set says of each of its shards, and what `inspect` tells of it.
#include <gtest/gtest.h>

#include <cstdio>
#include <numeric>

#include "base/json.h"
#include "data/shard_output.h"
#include "data_tools/commands.h"
#include "support/folder.h"

namespace sluice {
namespace {

std::vector<int32_t> ids(int32_t first, size_t count) {
    std::vector<int32_t> ids(count);
    std::iota(ids.begin(), ids.end(), first);
    return ids;
}

// Shards of 10 tokens. Documents of 4 tokens and 8 bytes, of 25 tokens (a delimiter and 24) and 240 bytes in two parts,
// and of 3 tokens and 6 bytes: the second one fills the rest of the first shard, all of the second, and more.
void write_set(const Folder& folder) {
    ShardSet set;
    set.tokenizer = set.fingerprint = "bytes";
    set.vocab = 257;
    set.delimiter = 256;
    ShardOutput output(folder.path(), "t", set, 10, false);
    output.add(ids(0, 4).data(), 4, 8, false);
    output.add(ids(10, 15).data(), 15, 150, false);
    output.add(ids(30, 10).data(), 10, 90, true);
    output.add(ids(50, 3).data(), 3, 6, false);
    output.finish();
    EXPECT_EQ(output.documents, 3);
    EXPECT_EQ(output.tokens, 32);
    EXPECT_EQ(output.text_bytes, 254);
}

TEST(ShardOutput, ADocumentThatIsCutGivesEachSideItsShare) {
    const Folder folder;
    write_set(folder);
    const ShardSet set = read_shard_set(folder / "t.json");
    ASSERT_EQ(set.shards.size(), 4u);
    const int64_t tokens[] = {10, 10, 10, 2}, documents[] = {2, 0, 1, 0}, largest[] = {15, 30, 50, 52};
    // Of 150 bytes 6 tokens have 60; of 90 one has 9; of 6 bytes one has 2.
    const int64_t bytes[] = {8 + 60, 90 + 9, 81 + 2, 4};
    for (size_t i = 0; i < 4; i++) {
        EXPECT_EQ(set.shards[i].tokens, tokens[i]) << i;
        EXPECT_EQ(set.shards[i].documents, documents[i]) << i;
        EXPECT_EQ(set.shards[i].text_bytes, bytes[i]) << i;
        EXPECT_EQ(set.shards[i].largest_id, largest[i]) << i;
    }
}

TEST(ShardOutput, AShardKnowsHowFarBackItsFirstDocumentBegan) {
    const Folder folder;
    write_set(folder);
    const auto starts = [&](const char* name) {
        const TokenShard shard(folder / name);
        std::vector<int64_t> starts;
        for (int64_t i = 0; i < shard.documents(); i++) starts.push_back(shard.document(i).start);
        return starts;
    };
    using Starts = std::vector<int64_t>;
    EXPECT_EQ(starts("t_000000.bin"), (Starts{0, 4}));
    EXPECT_EQ(starts("t_000001.bin"), (Starts{-6}));
    EXPECT_EQ(starts("t_000002.bin"), (Starts{-16, 9}));
    EXPECT_EQ(starts("t_000003.bin"), (Starts{-1}));
}

std::string output_of(const std::string& arguments) {
    std::FILE* out = popen(("'" + std::string(SLUICE_DATA_PROGRAM) + "' " + arguments).c_str(), "r");
    std::string text;
    char buffer[4096];
    while (const size_t n = fread(buffer, 1, sizeof buffer, out)) text.append(buffer, n);
    EXPECT_EQ(pclose(out), 0);
    return text;
}

TEST(Inspect, TellsOfEveryShard) {
    const Folder folder;
    write_set(folder);
    const Json all = parse_json(output_of("inspect --json '" + folder.path().string() + "'"));
    ASSERT_EQ(all.size(), 4u);
    const int64_t tokens[] = {10, 10, 10, 2}, smallest[] = {0, 16, 31, 51}, largest[] = {15, 30, 50, 52},
                  documents[] = {2, 0, 1, 0}, bytes[] = {68, 99, 83, 4};
    size_t i = 0;
    for (const auto& [file, one] : all.items()) {
        SCOPED_TRACE(file);
        EXPECT_EQ(one["tokens"], tokens[i]);
        EXPECT_EQ(one["smallest_id"], smallest[i]);
        EXPECT_EQ(one["largest_id"], largest[i]);
        EXPECT_EQ(one["documents"], documents[i]) << "that begin here";
        EXPECT_EQ(one["text_bytes"], bytes[i]);
        EXPECT_EQ(one["bytes_per_token"], 2);
        EXPECT_EQ(one["delimiter"], 256);
        i++;
    }
}

TEST(Inspect, SamplesAreTheBeginningsOfDocuments) {
    const Folder folder;
    ShardSet set;
    set.tokenizer = set.fingerprint = "bytes";
    set.vocab = 257;
    set.delimiter = 256;
    ShardOutput output(folder.path(), "t", set, 1000, false);
    for (const std::string& text :
         {std::string("first"), std::string("second one"), std::string("third"), std::string(100, 'x')}) {
        std::vector<int32_t> tokens{256};
        for (const unsigned char c : text) tokens.push_back(c);
        output.add(tokens.data(), int64_t(tokens.size()), int64_t(text.size()), false);
    }
    output.finish();
    const Json all = parse_json(output_of("inspect --json --samples 4 '" + folder.path().string() + "'"));
    const Json samples = all.begin().value()["samples"];
    ASSERT_EQ(samples.size(), 4u);
    const std::pair<int64_t, std::string> expected[] = {
        {0, "first"}, {6, "second one"}, {17, "third"}, {23, std::string(47, 'x')}};
    for (size_t i = 0; i < 4; i++) {
        EXPECT_EQ(samples[i]["token"], expected[i].first);
        EXPECT_EQ(samples[i]["text"], expected[i].second);
    }
}

}  // namespace
}  // namespace sluice
