// Tokenizers known by their content: .tiktoken files, GPT-2's two files, and what is none.
#include "text/tokenizer_files.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "data/shard_set.h"
#include "data_tools/commands.h"
#include "support/folder.h"
#include "text/byte_alphabet.h"
#include "text/byte_level_bpe.h"
#include "text/new_characters.h"
#include "text/support.h"
#include "text/tiktoken.h"

namespace sluice {
namespace {

std::string error_of(const std::function<void()>& act) {
    try {
        act();
    } catch (const Failure& f) {
        EXPECT_EQ(f.code(), Exit::data) << f.what();
        return f.what();
    }
    return "";
}

std::string base64(const std::string& bytes) {
    const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (size_t i = 0; i < bytes.size(); i += 3) {
        uint32_t three = 0;
        for (size_t k = 0; k < 3; k++) three = three << 8 | (i + k < bytes.size() ? uint8_t(bytes[i + k]) : 0);
        for (size_t k = 0; k < 4; k++) text += i + k > bytes.size() ? '=' : digits[three >> (18 - 6 * k) & 63];
    }
    return text;
}

// gpt2_like.json as its two files.
std::pair<std::string, std::string> gpt2_pair() {
    const Json json = fixture("gpt2_like");
    std::string merges = "#version: 0.2\n";
    for (const Json& merge : json["model"]["merges"])
        merges += merge.is_string() ? merge.get<std::string>() + "\n"
                                    : merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
    Json vocabulary = json["model"]["vocab"];
    for (const Json& token : json["added_tokens"]) vocabulary[token["content"].get<std::string>()] = token["id"];
    return {vocabulary.dump(), merges};
}

TEST(Gpt2Files, AreTheSameTokenizerByEitherFile) {
    const Folder folder;
    const auto [vocabulary, merges] = gpt2_pair();
    const Json expected = fixture("encodings");
    for (const auto& [a, b] : {std::pair{"encoder.json", "vocab.bpe"}, std::pair{"vocab.json", "merges.txt"},
                               std::pair{"gpt2-vocab.json", "gpt2-merges.txt"}}) {
        write_file(folder / a, vocabulary);
        write_file(folder / b, merges);
        std::string fingerprint;
        for (const char* named : {a, b}) {
            const auto tokenizer = open_tokenizer((folder / named).string());
            for (size_t i = 0; i < expected["texts"].size(); i++)
                EXPECT_EQ(tokenizer->encode(expected["texts"][i].get<std::string>()),
                          expected["gpt2_like"][i].get<std::vector<int32_t>>());
            EXPECT_EQ(tokenizer->decode({tokenizer->delimiter()}), "");
            const std::string now = fingerprint_of((folder / named).string());
            EXPECT_TRUE(fingerprint.empty() || fingerprint == now);
            fingerprint = now;
        }
        write_file(folder / b, merges + "h e\n");
        EXPECT_NE(fingerprint_of((folder / a).string()), fingerprint) << "the merges count";
        std::filesystem::remove(folder / b);
        EXPECT_NE(error_of([&, a = a] { open_tokenizer((folder / a).string()); }).find("without its merges"),
                  std::string::npos);
        write_file(folder / b, merges);
        std::filesystem::remove(folder / a);
        EXPECT_NE(error_of([&, b = b] { open_tokenizer((folder / b).string()); }).find("without their vocabulary"),
                  std::string::npos);
    }
}

TEST(Gpt2Files, DamageAndOtherKindsAreNamed) {
    const Folder folder;
    const auto [vocabulary, merges] = gpt2_pair();
    const auto error = [&](const std::string& v, const std::string& m) {
        write_file(folder / "encoder.json", v);
        write_file(folder / "vocab.bpe", m);
        return error_of([&] { open_tokenizer((folder / "encoder.json").string()); });
    };
    const auto with = [&](const char* token, int id) {
        Json json = parse_json(vocabulary);
        json[token] = id;
        return json.dump();
    };
    EXPECT_EQ(error(vocabulary, merges), "");
    EXPECT_NE(error(with("<fim_prefix>", 999), merges).find("'<fim_prefix>' is made by no merge"), std::string::npos);
    EXPECT_NE(error(with("zqx", 999), merges).find("'zqx'"), std::string::npos);
    EXPECT_NE(error(with("zqx", 5), merges).find("stands twice"), std::string::npos);
    EXPECT_NE(error(with("zqx", -1), merges).find("whole number"), std::string::npos);
    EXPECT_NE(error(vocabulary, merges + "h\n").find("vocab.bpe: line "), std::string::npos);
    EXPECT_NE(error(vocabulary, merges + "h e y\n").find("two tokens"), std::string::npos);
    EXPECT_NE(error(vocabulary, merges + "zq qz\n").find("no token"), std::string::npos);
    EXPECT_NE(error(vocabulary, merges.substr(0, merges.size() / 2)).find("made by no merge"), std::string::npos);
    Json no_end = parse_json(vocabulary);
    no_end.erase("<|endoftext|>");
    EXPECT_NE(error(no_end.dump(), merges).find("delimiter"), std::string::npos);
    Json no_byte = parse_json(vocabulary);
    no_byte.erase("a");
    EXPECT_NE(error(no_byte.dump(), merges).find("byte 97"), std::string::npos);
}

// A set made with a pair keeps both files, and is known again by them.
TEST(Gpt2Files, GoBesideTheShards) {
    const Folder folder;
    const auto [vocabulary, merges] = gpt2_pair();
    make_folders(folder / "tokenizer");
    write_file(folder / "tokenizer/vocab.json", vocabulary);
    write_file(folder / "tokenizer/merges.txt", merges);
    std::ofstream(folder / "a.txt") << "It is a truth universally acknowledged";
    TokenizeArgs args;
    args.inputs = {(folder / "a.txt").string()};
    args.tokenizer = (folder / "tokenizer/merges.txt").string();
    args.out = (folder / "out").string();
    ASSERT_EQ(tokenize_command(args), 0);
    const ShardSet set = read_shard_set(folder / "out/tokens.json");
    EXPECT_EQ(fingerprint_of(set.tokenizer), set.fingerprint);
    EXPECT_EQ(read_file(folder / "out/vocab.json", 3, 1 << 24), vocabulary);
    EXPECT_EQ(read_file(folder / "out/merges.txt", 3, 1 << 24), merges);
    EXPECT_EQ(inspect_command((folder / "out").string(), "", 2, false), 0);
    write_file(folder / "tokenizer/merges.txt", merges + "\n");
    args.name = "other";
    EXPECT_NE(error_of([&] { tokenize_command(args); }).find("another tokenizer of that name"), std::string::npos);
    args.name = "vocab";
    args.out = (folder / "fresh").string();
    try {
        tokenize_command(args);
        ADD_FAILURE() << "the set's file would replace the vocabulary";
    } catch (const Failure& f) { EXPECT_EQ(f.code(), Exit::config); }
}

// Ranks of bytes, "hello", " world" and their parts.
std::string small_ranks() {
    std::string text;
    int id = 0;
    for (int b = 0; b < 256; b++) text += base64(std::string(1, char(b))) + " " + std::to_string(id++) + "\n";
    for (const char* token : {"he", "ll", "llo", "hello", " w", "or", " wor", "ld", " world", "aa", "aaa", "12", "wh"})
        text += base64(token) + " " + std::to_string(id++) + "\n";
    return text;
}
std::vector<TiktokenFamily> small_family() {
    return {{"small", 269, 259, 264, R"(\p{N}{1,2}| ?\p{L}+|\s+)", {{"<|endoftext|>", 270}}, 275}};
}

TEST(Tiktoken, MergesByRank) {
    const Folder folder;
    const std::string path = (folder / "small.tiktoken").string();
    for (const bool crlf : {false, true}) {
        std::string ranks = small_ranks();
        for (size_t at = 0; crlf && (at = ranks.find('\n', at)) != std::string::npos; at += 2) ranks.insert(at, "\r");
        write_file(path, ranks);
        const auto t = open_tiktoken(path, "", small_family());
        EXPECT_EQ(t->encode("hello world"), (std::vector<int32_t>{259, 264}));
        EXPECT_EQ(t->encode("aaaaa"), (std::vector<int32_t>{265, 266}));  // aa aa a: the leftmost first
        EXPECT_EQ(t->encode("whe"), (std::vector<int32_t>{'w', 256}));    // of two that overlap the lower rank
        EXPECT_EQ(t->encode("123"), (std::vector<int32_t>{267, '3'}));
        EXPECT_EQ(t->decode(t->encode("<|endoftext|> \xe4\xb8\xad")), "<|endoftext|> \xe4\xb8\xad");
        EXPECT_EQ(t->vocab(), 275);
        EXPECT_EQ(t->delimiter(), 270);
        for (const int32_t hole : {269, 271, 274, 275, -1}) EXPECT_FALSE(t->has(hole)) << hole;
        for (const int32_t id : {0, 268, 270}) EXPECT_TRUE(t->has(id)) << id;
    }
    EXPECT_NE(error_of([&] { open_tokenizer(path); }).find("ranks of 269 tokens"), std::string::npos);
    EXPECT_NE(error_of([&] { open_tokenizer(path); }).find("cl100k_base (100256)"), std::string::npos);
}

TEST(Tiktoken, PublishedOnesAreKnownByTheirTokens) {
    const Folder folder;
    for (const TiktokenFamily& family : tiktoken_families()) {
        const auto ranks = [&](int32_t hello) {
            std::string text;
            for (int32_t id = 0, written = 0; written < family.ranks; id++) {
                if (id == family.special[0].second) continue;  // p50k_base's stands between its ranks
                written++;
                std::string bytes = "t" + std::to_string(id);
                if (id < 256) bytes = std::string(1, char(id));
                if (id == hello) bytes = "hello";
                if (id == family.world) bytes = " world";
                text += base64(bytes) + " " + std::to_string(id) + "\n";
            }
            return text;
        };
        const std::string path = (folder / "tokenizer.model").string();
        write_file(path, ranks(family.hello));
        const auto t = open_tokenizer(path);
        EXPECT_EQ(t->encode("hello world"), (std::vector<int32_t>{family.hello, family.world})) << family.name;
        EXPECT_EQ(t->vocab(), family.vocab);
        EXPECT_EQ(t->delimiter(), family.special[0].second);
        for (const auto& [text, id] : family.special) EXPECT_TRUE(t->has(id) && t->decode({id}).empty()) << text;
        EXPECT_EQ(t->encode("e\xcc\x81").size(), family.nfc ? 2u : 3u) << family.name;
        EXPECT_EQ(t->encode("12").size(), 2u);
        write_file(path, ranks(family.hello + 1));
        EXPECT_NE(error_of([&] { open_tokenizer(path); }).find("none of the published"), std::string::npos);
    }
}

TEST(Tiktoken, DamageIsNamedByLine) {
    const Folder folder;
    const std::string path = (folder / "t.tiktoken").string(), ranks = small_ranks();
    const auto error = [&](const std::string& text) {
        write_file(path, text);
        return error_of([&] { open_tiktoken(path, "", small_family()); });
    };
    EXPECT_EQ(error(ranks + "\n"), "");
    EXPECT_NE(error(ranks + "aGVsbG8 300\n").find("t.tiktoken: line 270: no token"), std::string::npos);
    EXPECT_NE(error(ranks + "aGVsbG8hIQ== x\n").find("line 270"), std::string::npos);
    EXPECT_NE(error(ranks + "aGVsbG8hIQ==\n").find("line 270"), std::string::npos);
    EXPECT_NE(error(ranks + "aGVsbG8hIQ== 7\n").find("id 7 stands twice"), std::string::npos);
    EXPECT_NE(error(ranks + base64("hello") + " 300\n").find("a token stands twice"), std::string::npos);
    EXPECT_NE(error(ranks + "aGVsbG8hIQ== 300\n").find("ranks of 270"), std::string::npos);
    EXPECT_NE(error(ranks.substr(ranks.find('\n') + 1)).find("byte 0"), std::string::npos);
    EXPECT_NE(error_of([&] {
                  write_file(path, ranks);
                  open_tiktoken(path, "<|fim|>", small_family());
              }).find("<|endoftext|>"),
              std::string::npos);
}

TEST(TokenizerKind, WhatIsNoneIsToldWithWhatIsOne) {
    const Folder folder;
    const std::pair<std::string, const char*> cases[] = {
        {"", "empty"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS"},
        {"<!DOCTYPE html><html>", "web page"},
        {std::string("\x1f\x8b\x08\x00\x00", 5), "gzip"},
        {"\x28\xb5\x2f\xfd"
         "abc",
         "zstd"},
        {"\xfd"
         "7zXZ",
         "xz"},
        {"PK\x03\x04", "zip"},
        {"{\"bos_token\": \"<s>\", \"add_bos_token\": true}", "there are: add_bos_token, bos_token"},
        {"[1, 2]", "without an object"},
        {"{\"a\": 1, \"b\": 2}", "without its merges"},
        {"#version: 0.2\nh e\n", "without their vocabulary"},
        {"Some text\nthat is no tokenizer, at all.\n", "."},
        {"<unk>\t0\n<s>\t0\n", "text of another kind"},
        {std::string("\x00\xff\x01 binary", 10), "no file of a known kind"}};
    for (const auto& [content, why] : cases) {
        write_file(folder / "some.file", content);
        const std::string message = error_of([&] { open_tokenizer((folder / "some.file").string()); });
        EXPECT_NE(message.find(why), std::string::npos) << why << ": " << message;
        EXPECT_NE(message.find("some.file: "), std::string::npos) << message;
        EXPECT_NE(message.find("a tokenizer.json with byte-level BPE"), std::string::npos) << message;
    }
    write_file(folder / "some.file", "{\"model\": ");
    EXPECT_NE(error_of([&] { open_tokenizer((folder / "some.file").string()); }).find("some.file"), std::string::npos);
    EXPECT_NE(error_of([&] { open_tokenizer((folder / "gone.json").string()); }).find("gone.json"), std::string::npos);
    write_file(folder / "tokenizer.json", "{}");
    EXPECT_NE(error_of([&] { open_tokenizer(folder.path().string()); }).find("a folder: name its tokenizer.json"),
              std::string::npos);
    // By its content, whatever it is called.
    write_file(folder / "t.model", read_file(kHere + "gpt2_like.json", 3, 1 << 24));
    EXPECT_EQ(open_tokenizer((folder / "t.model").string())->vocab(), 421);
}

TEST(NewCharacters, AreThoseThatUnicodeOfThePatternsHasNot) {
    EXPECT_FALSE(has_new_characters("plain"));
    EXPECT_FALSE(has_new_characters("\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80 \xee\x80\x80"));
    EXPECT_TRUE(has_new_characters("plain, and \xcd\xb8"));                         // U+0378: not given out yet
    EXPECT_TRUE(has_new_characters("\xf3\xa1\x80\x80"));                            // U+E1000
    for (const char* never : {"\xef\xbf\xbf", "\xef\xb7\x90", "\xf4\x8f\xbf\xbf"})  // U+FFFF, U+FDD0, U+10FFFF
        EXPECT_FALSE(has_new_characters(never));
    EXPECT_GE(std::stod(unicode_of_patterns()), 14);
    const auto tokenizer = open_tokenizer(kHere + "gpt2_like.json");
    testing::internal::CaptureStderr();
    for (int i = 0; i < 3; i++) tokenizer->encode("a \xcd\xb8 b");
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("Unicode " + unicode_of_patterns().substr(0, 4)), std::string::npos) << said;
    EXPECT_EQ(said.find("warning"), said.rfind("warning")) << "once: " << said;
}

TEST(ByteAlphabet, GivesBytesBack) {
    std::string all;
    for (int b = 0; b < 256; b++) all += char(b);
    EXPECT_EQ(from_byte_alphabet(to_byte_alphabet(all)), all);
    EXPECT_EQ(to_byte_alphabet(" a\n"),
              "\xc4\xa0"
              "a\xc4\x8a");
    for (const char* odd : {" ", "\xe4\xb8\xad", "\xc5\x84"}) EXPECT_THROW(from_byte_alphabet(odd), std::runtime_error);
}

}  // namespace
}  // namespace sluice
