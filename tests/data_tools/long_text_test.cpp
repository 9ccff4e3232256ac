// Long texts, however they are stored: the same ids, the same side of the split, little memory; and text that is none.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/check.h"
#include "data/shard_set.h"
#include "data/token_shard.h"
#include "data_tools/commands.h"
#include "data_tools/inputs.h"
#include "documents/documents.h"
#include "documents/text_check.h"
#include "text/support.h"
#include "text/text_parts.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::string as_json(const std::string& text) { return Json{{"text", text}}.dump() + "\n"; }
std::vector<int32_t> tokens_of(const fs::path& set) {
    std::vector<int32_t> all;
    const ShardSet facts = read_shard_set(set);
    for (const ShardFacts& f : facts.shards) {
        const TokenShard shard(set.parent_path() / f.file);
        all.resize(all.size() + size_t(shard.size()));
        shard.read(0, shard.size(), all.data() + all.size() - size_t(shard.size()), facts.vocab);
    }
    return all;
}
// "": it went well.
std::string error_of(const TokenizeArgs& args) {
    try {
        tokenize_command(args);
        return "";
    } catch (const Failure& f) {
        EXPECT_EQ(f.code(), Exit::data);
        return f.what();
    }
}
TokenizeArgs arguments(const Folder& folder, const std::string& input, const std::string& tokenizer) {
    TokenizeArgs args;
    args.inputs = {(folder / input).string()};
    args.out = (folder / "out").string();
    args.tokenizer = tokenizer;
    args.replace = true;
    args.threads = 2;
    return args;
}

// Of every family, as tokenizers are given to the command.
std::vector<std::string> families(const Folder& folder) {
    return {"bytes",
            SLUICE_SOURCE_DIR "/tests/text/gpt2_like.json",
            with_patterns(folder, "o200k", {kO200k}),
            with_patterns(folder, "none", {}),
            sentence_piece(folder, "default", {{"model_type", "bpe"}}),
            sentence_piece(folder, "plain", {{"model_type", "bpe"}, {"normalization_rule_name", "identity"}}),
            sentence_piece(folder, "unigram", {})};
}

TEST(LongTexts, TheSameIdsHoweverTheyAreStored) {
    const Folder folder;
    std::mt19937_64 random(5);
    std::string text, paths;
    while (text.size() < kPart + 150'000) text += odd_text(random, 500) + ".\n/a man\n";
    while (paths.size() < kPart + 150'000) paths += "/usr/share/doc/readme and so on.\n";
    for (const auto& name : families(folder)) {
        const auto tokenizer = open_tokenizer(name);
        for (const std::string& one : name.ends_with("o200k.json") ? std::vector{text, paths} : std::vector{text}) {
            write(folder / "a.txt", one);
            write(folder / "a.jsonl", as_json(one));
            write(folder / "a.txt.zst", zstd(one));
            auto whole = tokenizer->encode(one);
            whole.insert(whole.begin(), tokenizer->delimiter());
            for (const char* file : {"a.txt", "a.jsonl", "a.txt.zst"}) {
                EXPECT_EQ(error_of(arguments(folder, file, name)), "") << file;
                EXPECT_TRUE(tokens_of(folder / "out/tokens.json") == whole) << file << " " << name;
            }
        }
        fs::remove_all(folder / "out");
    }
}

TEST(LongTexts, ComeThroughPipes) {
    const Folder folder;
    std::mt19937_64 random(6);
    std::string text;
    while (text.size() < kPart + 150'000) text += odd_text(random, 500);
    ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
    std::thread writer([&] { write(folder / "pipe", text); });
    const std::string error = error_of(arguments(folder, "pipe", with_patterns(folder, "o200k", {kO200k})));
    writer.join();
    EXPECT_EQ(error, "");
    const auto tokenizer = open_tokenizer((folder / "o200k.json").string());
    auto whole = tokenizer->encode(text);
    whole.insert(whole.begin(), tokenizer->delimiter());
    EXPECT_TRUE(tokens_of(folder / "out/tokens.json") == whole);
}

// Texts above a part that begin alike and end differently.
TEST(LongTexts, TheWholeTextChoosesTheSide) {
    const Folder folder;
    fs::create_directories(folder / "txt");
    std::string same, lines;
    while (same.size() < kPart + 5000) same += "a line of every document\n";
    int held_out = 0;
    for (int i = 0; i < 16; i++) {
        const std::string text = same + "document " + std::to_string(i) + "\n";
        const std::string name = "d" + std::to_string(10 + i);
        write(folder / ("txt/" + name + (i % 2 ? ".txt" : ".txt.zst")), i % 2 ? text : zstd(text));
        lines += as_json(text);
        held_out += double(hash_of_text(text)) < 0.5 * 0x1p64;
    }
    ASSERT_TRUE(held_out > 0 && held_out < 16);
    write(folder / "all.jsonl", lines);
    std::vector<std::vector<int32_t>> sides;
    for (const char* input : {"txt", "all.jsonl"}) {
        TokenizeArgs args = arguments(folder, input, "bytes");
        args.validation = 0.5;
        EXPECT_EQ(error_of(args), "");
        sides.push_back(tokens_of(folder / "out/tokens_val.json"));
        EXPECT_EQ(std::count(sides.back().begin(), sides.back().end(), 256), held_out) << input;
    }
    EXPECT_TRUE(sides[0] == sides[1]);
}

TEST(LongTexts, HashedInPiecesAsAtOnce) {
    std::mt19937_64 random(1);
    const std::string text = odd_text(random, 100'000);
    TextCheck check(false);
    for (size_t at = 0; at < text.size(); at += 777) check.add(std::string_view(text).substr(at, 777));
    check.end();
    EXPECT_EQ(check.hash(), hash_of_text(text));
}

// Whether the program does with this much memory.
bool does_with(size_t bytes, const std::vector<std::string>& arguments) {
    const pid_t child = fork();
    if (child == 0) {
        std::vector<char*> argv;
        for (const auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
        argv.push_back(nullptr);
        dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
        const rlimit limit{bytes, bytes};
        setrlimit(RLIMIT_DATA, &limit);
        execv(argv[0], argv.data());
        _exit(127);
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status == 0;
}

TEST(LongTexts, MemoryDoesNotGrowWithThem) {
    constexpr size_t kEnough = 200 << 20, kText = 40 << 20;
    if (!does_with(kEnough, {SLUICE_DATA_PROGRAM, "--version"})) GTEST_SKIP() << "a build that needs more of its own";
    const Folder folder;
    const std::string gpt2 = SLUICE_SOURCE_DIR "/tests/text/gpt2_like.json";
    for (const std::string& line :
         {std::string("It is a truth universally acknowledged, that a single man\r\n"), std::string("a single man\r"),
          std::string("\xe4\xb8\xad\xe6\x96\x87\xe3\x80\x82\n"), std::string("A paragraph.  \n\n\n    and more")}) {
        std::string text;
        while (text.size() < kText) text += line;
        write(folder / "a.txt", text);
        for (const auto& tokenizer : {std::string("bytes"), gpt2}) {
            if (tokenizer == gpt2 && line[0] != 'I') continue;
            EXPECT_TRUE(does_with(kEnough, {SLUICE_DATA_PROGRAM, "tokenize", "--tokenizer", tokenizer, "--threads", "1",
                                            "--out", (folder / "out").string(), (folder / "a.txt").string()}))
                << line << tokenizer;
            fs::remove_all(folder / "out");
        }
    }
}

TEST(LongTexts, OnlyALineCanBeTooLong) {
    const Folder folder;
    const auto error_with = [&](const std::string& text, const std::string& name) {
        write(folder / "a.txt", text);
        const auto tokenizer = open_tokenizer(name);
        std::string error;
        DocumentReader reader({(folder / "a.txt").string()}, Format::text, 2 * kPart, tokenizer.get());
        for (std::vector<RawDocument> batch; reader.next(batch, 1 << 20);)
            for (const RawDocument& document : batch) error += document.error;
        return error;
    };
    const std::string gpt2 = SLUICE_SOURCE_DIR "/tests/text/gpt2_like.json";
    std::string lines, words;
    while (lines.size() < 6 * kPart) lines += std::string(100'000, 'a') + "\r\n";
    while (words.size() < 6 * kPart) words += "words in one line ";
    EXPECT_EQ(error_with(lines, gpt2), "");
    EXPECT_EQ(error_with(words, gpt2), "") << "a line that can be cut is not too long";
    EXPECT_EQ(error_with(std::string(6 * kPart, 'a'), "bytes"), "");
    EXPECT_NE(error_with(std::string(6 * kPart, 'a'), gpt2).find("a line of more than"), std::string::npos);
    EXPECT_NE(error_with(lines, sentence_piece(folder, "unigram", {})).find("without a place"), std::string::npos);
}

TEST(NotUtf8, IsRefusedByEveryTokenizerButBytes) {
    const Folder folder;
    std::string long_text;
    while (long_text.size() < kPart + 77) long_text += "a single man\n";
    const size_t far = long_text.size();
    write(folder / "short.txt", "caf\xe9 au lait\n");
    write(folder / "long.txt", long_text + "caf\xe9 au lait\n");
    write(folder / "long.txt.zst", zstd(long_text + "caf\xe9 au lait\n"));
    write(folder / "end.txt", "a man \xe4\xb8");
    write(folder / "lines.jsonl", as_json("fine") + "{\"text\": \"caf\xe9\"}\n");
    const std::pair<std::string, std::string> cases[] = {{"short.txt", "byte 3"},
                                                         {"long.txt", "byte " + std::to_string(far + 3)},
                                                         {"long.txt.zst", "byte " + std::to_string(far + 3)},
                                                         {"end.txt", "byte 6"},
                                                         {"lines.jsonl", "lines.jsonl:2: "}};
    for (const auto& name : families(folder))
        for (const auto& [file, place] : cases) {
            const std::string error = error_of(arguments(folder, file, name));
            if (name == "bytes" && file != "lines.jsonl") {
                EXPECT_EQ(error, "") << file;
                fs::remove_all(folder / "out");
                continue;
            }
            EXPECT_NE(error.find(file), std::string::npos) << error;
            EXPECT_NE(error.find(place), std::string::npos) << name << " " << file << ": " << error;
            EXPECT_NE(error.find("UTF-8"), std::string::npos) << error;
        }
    for (const auto& name : families(folder))
        if (name != "bytes") { EXPECT_THROW(open_tokenizer(name)->encode("caf\xe9"), Failure) << name; }
    write(folder / "good.txt", "fine\n");
    TokenizeArgs args = arguments(folder, "long.txt", SLUICE_SOURCE_DIR "/tests/text/gpt2_like.json");
    args.inputs.push_back((folder / "good.txt").string());
    args.on_error = OnError::skip;
    EXPECT_EQ(error_of(args), "");
    EXPECT_LT(tokens_of(folder / "out/tokens.json").size(), 10u) << "nothing of the long text is there";
}

TEST(Delimiters, ThatTextCanGiveAreRefused) {
    const Folder folder;
    const auto error = [](const std::string& name, const std::string& delimiter) -> std::string {
        try {
            const auto tokenizer = open_tokenizer(name, delimiter);
            for (const std::string text : {"<s> </s> <doc> <|endoftext|> x<|end|> the", "<|endoftext|>"})
                for (const int32_t id : tokenizer->encode(text)) EXPECT_NE(id, tokenizer->delimiter());
            return "";
        } catch (const Failure& f) {
            EXPECT_EQ(f.code(), Exit::data);
            EXPECT_EQ(std::string(f.what()).find(name), 0u) << f.what();
            return f.what();
        }
    };
    const auto model = sentence_piece(
        folder, "m", {{"model_type", "bpe"}, {"user_defined_symbols", "<doc>"}, {"control_symbols", "<end>"}});
    EXPECT_EQ(error(model, ""), "");
    EXPECT_EQ(error(model, "<end>"), "");
    for (const char* forged : {"<doc>", "<unk>", "a"}) EXPECT_NE(error(model, forged).find("forge"), std::string::npos);
    EXPECT_NE(error(model, "none").find("no piece"), std::string::npos);
    EXPECT_NE(error(sentence_piece(folder, "written", {{"user_defined_symbols", "<s>"}, {"eos_id", "-1"}}), "<s>"), "");

    const auto change = [&](const std::string& name, const std::function<void(Json&)>& f) {
        return changed_json(folder, name, f);
    };
    const auto special = [](Json& json, const char* content, int id) {
        json["added_tokens"].push_back({{"id", id}, {"content", content}, {"special", true}, {"normalized", false}});
    };
    EXPECT_EQ(error(change("plain", [](Json&) {}), ""), "");
    EXPECT_NE(error(change("plain", [](Json&) {}), "<think>").find("special"), std::string::npos);
    const auto merged = change("merged", [&](Json& json) {
        const Json merge = json["model"]["merges"][0];
        special(json, "<|end|>", json["model"]["vocab"][merge[0].get<std::string>() + merge[1].get<std::string>()]);
    });
    EXPECT_NE(error(merged, "<|end|>").find("forge"), std::string::npos);
    const auto byte = change("byte", [&](Json& json) { special(json, "<|end|>", json["model"]["vocab"]["a"]); });
    EXPECT_NE(error(byte, "<|end|>").find("forge"), std::string::npos);
    const auto twice = change("twice", [&](Json& json) {
        special(json, "<|end|>", 431);
        json["added_tokens"].push_back({{"id", 431}, {"content", "<end>"}, {"special", false}, {"normalized", false}});
    });
    EXPECT_NE(error(twice, "<|end|>").find("forge"), std::string::npos);
    // In the vocabulary, but no text becomes it, not even one that is just that.
    const auto whole = change("whole", [](Json& json) {
        json["model"]["ignore_merges"] = true;
        json["model"]["vocab"]["<|endoftext|>"] = json["added_tokens"][0]["id"];
        json["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
    });
    EXPECT_EQ(error(whole, ""), "");
}

TEST(TrainTokenizer, LearnsFromLinesOfAnyLength) {
    const Folder folder;
    std::string text;
    while (text.size() < 300'000) text += "It is a truth universally acknowledged\r";
    write(folder / "a.txt", text);
    TrainTokenizerArgs args;
    args.inputs = {(folder / "a.txt").string()};
    args.out = (folder / "a.model").string();
    args.vocab = 290;
    EXPECT_EQ(train_tokenizer_command(args), 0);
    EXPECT_LT(open_tokenizer(args.out)->encode("universally acknowledged").size(), 20u);
    write(folder / "a.txt", "caf\xe9 au lait\n");
    EXPECT_THROW(train_tokenizer_command(args), Failure);
}

}  // namespace
}  // namespace sluice
