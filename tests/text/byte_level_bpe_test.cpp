// Byte-level BPE against ids that Hugging Face's library gave (make_tokenizers.py), and damaged files.
#include "text/byte_level_bpe.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "support/folder.h"
#include "text/support.h"

namespace sluice {
namespace {

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

// Of the model families, with one model whose merges show where a text was split (make_families.py).
TEST(ByteLevelBpe, SplitsAsTheFamiliesDo) {
    const Json expected = fixture("families");
    ASSERT_GT(expected["families"].size(), 15u);
    const Folder folder;
    const std::string path = (folder / "t.json").string();
    for (const Json& family : expected["families"]) {
        Json json = expected["tokenizer"];
        json["pre_tokenizer"] = family["pre_tokenizer"];
        write_file(path, json.dump());
        const auto tokenizer = open_byte_level_bpe(path, "");
        for (size_t i = 0; i < expected["texts"].size(); i++) {
            const std::string text = expected["texts"][i];
            const auto ids = tokenizer->encode(text);
            EXPECT_EQ(ids, family["ids"][i].get<std::vector<int32_t>>()) << family["name"] << ": " << text;
            EXPECT_EQ(tokenizer->decode(ids), text) << family["name"];
        }
    }
}

// Where a text is cut its ids are the same, for every family and whatever follows.
TEST(ByteLevelBpe, FamiliesAreCutWithoutAChange) {
    const Json expected = fixture("families");
    const Folder folder;
    const std::string path = (folder / "t.json").string();
    std::string all;
    for (int i = 0; i < 4; i++)
        for (const Json& text : expected["texts"]) all += text.get<std::string>() + (i % 2 ? " " : "");
    for (const Json& family : expected["families"]) {
        Json json = expected["tokenizer"];
        json["pre_tokenizer"] = family["pre_tokenizer"];
        write_file(path, json.dump());
        const auto tokenizer = open_byte_level_bpe(path, "");
        const auto whole = tokenizer->encode(all);
        int cut = 0;
        for (size_t end = 40; end < all.size(); end += 37) {
            while ((all[end] & 0xC0) == 0x80) end++;
            const size_t at = tokenizer->cut(all.substr(0, end));
            ASSERT_LE(at, end);
            auto ids = tokenizer->encode(all.substr(0, at));
            const auto rest = tokenizer->encode_rest(all.substr(at));
            ids.insert(ids.end(), rest.begin(), rest.end());
            EXPECT_EQ(ids, whole) << family["name"] << " cut at " << at << ": " << all.substr(0, at);
            cut += at > 0;
        }
        EXPECT_GT(cut, 10) << family["name"];
    }
}

// What the library would make other ids of, by its name.
TEST(ByteLevelBpe, OtherPreTokenizersAreRefused) {
    const Folder folder;
    const Json byte_level{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
    const auto error = [&](const Json& stages) -> std::string {
        Json json = fixture("qwen3_like");
        json["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", stages}};
        write_file(folder / "t.json", json.dump());
        try {
            open_byte_level_bpe((folder / "t.json").string(), "");
        } catch (const Failure& f) { return f.what(); }
        return "";
    };
    const auto split = [](const char* behaviour) {
        return Json{{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", behaviour}, {"invert", false}};
    };
    EXPECT_EQ(error({split("Isolated"), byte_level}), "");
    for (const char* name : {"Removed", "MergedWithPrevious", "MergedWithNext", "Odd"})
        EXPECT_NE(error({split(name), byte_level}).find("behavior '" + std::string(name) + "'"), std::string::npos);
    for (const char* name : {"Metaspace", "Whitespace", "WhitespaceSplit", "BertPreTokenizer", "UnicodeScripts",
                             "CharDelimiterSplit", "FixedLength"})
        EXPECT_NE(error({Json{{"type", name}}, byte_level}).find("'" + std::string(name) + "'"), std::string::npos);
    EXPECT_NE(error(Json::array({split("Isolated")})).find("without ByteLevel"), std::string::npos);
    EXPECT_NE(error({byte_level, byte_level}).find("twice"), std::string::npos);
    EXPECT_NE(error({byte_level, split("Isolated")}).find("behind it"), std::string::npos);
    Json odd = split("Isolated");
    odd["pattern"] = {{"Regex", "a\\Kb"}};
    EXPECT_NE(error({odd, byte_level}).find("'\\K' at offset 1"), std::string::npos) << error({odd, byte_level});
    odd["pattern"] = {{"String", ""}};
    EXPECT_NE(error({odd, byte_level}).find("empty String"), std::string::npos);
    odd["pattern"] = {{"Glob", "a"}};
    EXPECT_NE(error({odd, byte_level}).find("String"), std::string::npos);
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
    EXPECT_EQ(error([](Json& j) { j["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json::array()}}; }), "");
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
        {[](Json& j) { j["pre_tokenizer"] = nullptr; }, "without ByteLevel"},
        {[](Json& j) { j["model"]["dropout"] = 0.1; }, "dropout"},
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
