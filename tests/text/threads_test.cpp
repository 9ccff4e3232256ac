// Tokenizers side by side: what one keeps of its words is not the other's.
#include <gtest/gtest.h>

#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "support/folder.h"
#include "text/byte_level_bpe.h"
#include "text/support.h"

namespace sluice {
namespace {

const char* const kWords = "It is a truth universally acknowledged, that 12345 words come again and again.";

std::vector<int32_t> ids_of_a_new_thread(const Tokenizer& tokenizer) {
    std::vector<int32_t> ids;
    std::thread([&] { ids = tokenizer.encode(kWords); }).join();
    return ids;
}

// One merges, the other never does.
TEST(ByteLevelBpe, TwoTokenizersOnOneThreadKeepTheirOwnWords) {
    const Folder folder;
    Json json = fixture("gpt2_like");
    json["model"]["merges"] = Json::array();
    write_file(folder / "bytes.json", json.dump());
    const auto merging = open_byte_level_bpe(kHere + "gpt2_like.json", ""),
               plain = open_byte_level_bpe((folder / "bytes.json").string(), "");
    const auto merged = ids_of_a_new_thread(*merging), unmerged = ids_of_a_new_thread(*plain);
    ASSERT_LT(merged.size(), unmerged.size());
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(merging->encode(kWords), merged);
        EXPECT_EQ(plain->encode(kWords), unmerged);
    }
}

TEST(ByteLevelBpe, ManyThreadsGetTheSame) {
    const auto tokenizer = open_byte_level_bpe(kHere + "qwen3_like.json", "");
    const auto expected = tokenizer->encode(kWords);
    std::vector<std::vector<int32_t>> found(4);
    std::vector<std::thread> threads;
    for (auto& ids : found)
        threads.emplace_back([&] {
            for (int i = 0; i < 50; i++) ids = tokenizer->encode(kWords);
        });
    for (auto& thread : threads) thread.join();
    for (const auto& ids : found) EXPECT_EQ(ids, expected);
}

}  // namespace
}  // namespace sluice
