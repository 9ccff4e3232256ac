// Byte-level BPE against ids that Hugging Face's library gave (make_tokenizers.py), and damaged files.
#include "data_tools/byte_level_bpe.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "support/folder.h"

namespace sluice {
namespace {

const std::string kHere = SLUICE_SOURCE_DIR "/tests/data_tools/";
Json fixture(const std::string& name) { return parse_json(read_file(kHere + name + ".json", 3, 1 << 24)); }

TEST(ByteLevelBpe, EncodesAsTheFieldDoes) {
    const Json expected = fixture("encodings");
    ASSERT_GT(expected["texts"].size(), 15u);
    for (const char* name : {"gpt2_like", "qwen3_like"}) {
        const auto tokenizer = open_byte_level_bpe(kHere + name + ".json", "");
        for (size_t i = 0; i < expected["texts"].size(); i++) {
            const std::string text = expected["texts"][i];
            const auto ids = expected[name][i].get<std::vector<int32_t>>();
            EXPECT_EQ(tokenizer->encode(text), ids) << name << ": " << text;
            for (const int32_t id : ids) EXPECT_TRUE(id != tokenizer->delimiter() && id < tokenizer->vocab());
            const std::string back = tokenizer->decode(ids);
            if (std::string(name) == "gpt2_like") {  // the other composes characters
                EXPECT_EQ(back, text);
            }
            EXPECT_EQ(tokenizer->encode(back), ids);
        }
        EXPECT_EQ(tokenizer->decode({tokenizer->delimiter(), -1, 1 << 30}), "");
    }
}

TEST(ByteLevelBpe, Delimiters) {
    const std::string path = kHere + "qwen3_like.json";
    const int32_t usual = open_byte_level_bpe(path, "")->delimiter();
    EXPECT_EQ(open_byte_level_bpe(path, "<|endoftext|>")->delimiter(), usual);
    EXPECT_EQ(open_byte_level_bpe(path, "<|im_start|>")->delimiter(), usual + 1);
    EXPECT_THROW(open_byte_level_bpe(path, "<think>"), Failure);  // could stand in a text
    EXPECT_THROW(open_byte_level_bpe(path, "nonsense"), Failure);
}

TEST(ByteLevelBpe, TextThatIsNotUtf8) {
    const auto tokenizer = open_byte_level_bpe(kHere + "qwen3_like.json", "");
    for (const char* text : {"\xff", "a\xc3", "\xed\xa0\x80"}) EXPECT_THROW(tokenizer->encode(text), Failure);
}

// One long word, and one space after another: no time that grows with the square.
TEST(ByteLevelBpe, LongRuns) {
    const auto tokenizer = open_byte_level_bpe(kHere + "qwen3_like.json", "");
    for (const char c : {'a', ' ', '\n', '1', '<'}) {
        const std::string text(1 << 20, c);
        EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
    }
}

TEST(ByteLevelBpe, DamagedFilesAreNamed) {
    const Folder folder;
    const auto error = [&](const std::function<void(Json&)>& damage) -> std::string {
        Json json = fixture("qwen3_like");
        damage(json);
        write_file(folder / "t.json", json.dump());
        try {
            open_byte_level_bpe((folder / "t.json").string(), "");
        } catch (const Failure& f) {
            EXPECT_EQ(f.code(), Exit::data);
            EXPECT_NE(std::string(f.what()).find("t.json: "), std::string::npos) << f.what();
            return f.what();
        }
        return "";
    };
    EXPECT_EQ(error([](Json&) {}), "");
    EXPECT_EQ(error([](Json& j) { j["normalizer"] = nullptr; }), "");
    const std::pair<std::function<void(Json&)>, const char*> cases[] = {
        {[](Json& j) { j["model"]["type"] = "Unigram"; }, "Unigram"},
        {[](Json& j) { j["model"].erase("merges"); }, "merges"},
        {[](Json& j) { j["model"]["merges"][0] = "nospace"; }, "no space"},
        {[](Json& j) { j["model"]["merges"][0] = "zq qz"; }, "no token"},
        {[](Json& j) { j["model"]["merges"][0] = 3; }, "pair"},
        {[](Json& j) { j["model"]["vocab"].erase("a"); }, "byte 97"},
        {[](Json& j) { j["model"]["vocab"]["a"] = -1; }, "whole number"},
        {[](Json& j) { j["model"]["vocab"]["a"] = 2000000000; }, "an id of"},
        {[](Json& j) { j["model"]["vocab"]["a"] = j["model"]["vocab"]["b"]; }, "twice"},
        {[](Json& j) { j["model"]["vocab"]["\xe4\xb8\xad"] = 999; }, "not made of bytes"},
        {[](Json& j) { j["model"]["byte_fallback"] = true; }, "byte_fallback"},
        {[](Json& j) { j["normalizer"]["type"] = "NFKC"; }, "NFKC"},
        {[](Json& j) { j["pre_tokenizer"]["type"] = "Whitespace"; }, "Whitespace"},
        {[](Json& j) { j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(a"; }, "the group has no end"},
        {[](Json& j) { j["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"; }, "Isolated"},
        {[](Json& j) { j["added_tokens"] = Json::array(); }, "delimiter"},
        {[](Json& j) { j["added_tokens"][0]["content"] = ""; }, "without text"}};
    for (const auto& [damage, why] : cases) {
        const std::string message = error(damage);
        EXPECT_NE(message.find(why), std::string::npos) << why << ": " << message;
    }
    const std::string whole = read_file(kHere + "gpt2_like.json", 3, 1 << 24);
    for (size_t cut = 0; cut < whole.size(); cut += whole.size() / 97 + 1) {
        write_file(folder / "t.json", whole.substr(0, cut));
        EXPECT_THROW(open_byte_level_bpe((folder / "t.json").string(), ""), Failure) << cut;
    }
}

}  // namespace
}  // namespace sluice
