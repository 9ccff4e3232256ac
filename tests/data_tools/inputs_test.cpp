// Inputs are read whole: compressed and damaged ones, long lines, folders, pipes.
#include "data_tools/inputs.h"

#include "data/shard_set.h"
#include "data/token_shard.h"
#include "support/folder.h"

namespace sluice {
namespace {

TEST(Inputs, MembersAndFramesFollowEachOther) {
    const Folder folder;
    const std::vector<std::string> four{"a", "b", "a", "b"};
    EXPECT_EQ(texts({write(folder / "g", gzip(kTwo) + gzip("") + gzip(kTwo))}), four);
    EXPECT_EQ(texts({write(folder / "z", zstd(kTwo) + zstd("") + zstd(kTwo))}), four);
    EXPECT_EQ(texts({write(folder / "pad", gzip(kTwo) + std::string(1000, '\0'))}).size(), 2u);
    EXPECT_EQ(texts({write(folder / "skip", "\x50\x2a\x4d\x18\x02\0\0\0xy"s + zstd(kTwo))}).size(), 2u);
    const std::string text = long_text(1'500'000);
    for (const std::string& packed :
         {gzip(text), zstd(text), gzip(text.substr(0, 700'001)) + gzip(text.substr(700'001))})
        EXPECT_EQ(texts({write(folder / "long", packed)}), std::vector<std::string>{text});
    // What unpacks to far more than it is.
    const std::string blanks = std::string(5'000'000, ' ') + "x";
    EXPECT_EQ(texts({write(folder / "flat", gzip(blanks))}), std::vector<std::string>{blanks});
    EXPECT_EQ(texts({write(folder / "flat", zstd(blanks))}), std::vector<std::string>{blanks});
}

TEST(Inputs, DamageIsToldWithItsOffsetAndWhatCameBeforeIsKept) {
    const Folder folder;
    std::string lines;
    for (int i = 0; i < 40000; i++) lines += "{\"text\": \"" + std::to_string(i * 7919 % 100003) + "\"}\n";
    for (const bool z : {false, true}) {
        const std::string packed = z ? zstd(lines) : gzip(lines);
        for (const size_t size : {packed.size() - 1, packed.size() / 2, size_t{7}, size_t(z ? 4 : 2)}) {
            const auto read = texts({write(folder / "x.jsonl", packed.substr(0, size))});
            ASSERT_FALSE(read.empty());
            EXPECT_NE(read.back().find("is cut off: "), std::string::npos) << read.back();
            EXPECT_NE(read.back().find(" at byte " + std::to_string(size)), std::string::npos) << read.back();
            for (size_t i = 0; i + 1 < read.size(); i++) ASSERT_EQ(read[i], std::to_string(i * 7919 % 100003));
            EXPECT_GT(read.size(), size == packed.size() - 1 ? 30000u : 0u);
        }
        std::string wrong = packed;
        wrong[wrong.size() / 2] = char(wrong[wrong.size() / 2] ^ 0x55);
        EXPECT_NE(texts({write(folder / "x.jsonl", wrong)}).back().find("error: "), std::string::npos);
        EXPECT_NE(texts({write(folder / "x.jsonl", packed + "garbage")}).back().find("is damaged: "),
                  std::string::npos);
    }
    EXPECT_NE(texts({write(folder / "x.jsonl", gzip(kTwo) + "garbage")})
                  .back()
                  .find("gzip data at byte " + std::to_string(gzip(kTwo).size())),
              std::string::npos);
    // Short ones too, of which all but the check at the end can be read.
    for (const bool cut : {false, true}) {
        std::string packed = gzip(kTwo + kTwo);
        if (cut) packed.resize(packed.size() - 8);
        if (!cut) packed[packed.size() - 8] = char(packed[packed.size() - 8] ^ 1);
        const auto read = texts({write(folder / "x.jsonl", packed)});
        ASSERT_EQ(read.size(), 5u) << read[0];
        EXPECT_EQ(read[3], "b");
        EXPECT_NE(read[4].find(cut ? "x.jsonl:5: is cut off" : "incorrect data check"), std::string::npos) << read[4];
    }
    // The next file is read all the same.
    const auto read = texts({write(folder / "cut", gzip(kTwo).substr(0, 30)), write(folder / "whole", kTwo)});
    EXPECT_EQ((std::vector<std::string>(read.end() - 2, read.end())), (std::vector<std::string>{"a", "b"}));
    EXPECT_NE(refusal(write(folder / "empty.jsonl", "")).find("is empty"), std::string::npos);
    EXPECT_NE(refusal(write(folder / "empty.gz", gzip(""))).find("is empty"), std::string::npos);
}

TEST(Inputs, ALineBeyondTheLimitIsOneBadLine) {
    const Folder folder;
    const std::string large = "{\"text\": \"" + std::string(500'000, 'x') + "\"}\n";
    const auto read = texts({write(folder / "x.jsonl", kTwo + large + kTwo + large)}, Format::automatic, 200'000);
    ASSERT_EQ(read.size(), 6u);
    EXPECT_NE(read[2].find("x.jsonl:3: a line of more than "), std::string::npos) << read[2];
    EXPECT_EQ(read[3], "a");
    EXPECT_EQ(read[4], "b");
    EXPECT_NE(read[5].find("x.jsonl:6: "), std::string::npos) << read[5];
    EXPECT_EQ(texts({(folder / "x.jsonl").string()}).size(), 6u);
    write(folder / "end.jsonl", kTwo + large.substr(0, large.size() - 1));
    EXPECT_EQ(texts({(folder / "end.jsonl").string(), write(folder / "next", kTwo)}, Format::automatic, 200'000).size(),
              5u);
}

TEST(Inputs, FoldersGiveTheirFiles) {
    const Folder folder;
    std::filesystem::create_directories(folder / "a/.git/objects");
    std::filesystem::create_directories(folder / "a/b");
    write(folder / "a/.git/objects/x", "\0\1\2"s), write(folder / "a/.hidden", "h");
    write(folder / "a/2.txt", "two"), write(folder / "a/b/1.md", "one"), write(folder / "a/b/__init__.py", "");
    int64_t empty = 0;
    EXPECT_EQ(texts(text_files({(folder / "a").string()}, &empty)), (std::vector<std::string>{"two", "one"}));
    EXPECT_EQ(empty, 1) << "an empty file that nobody named is a document without text";
    const auto refused = [&] {
        try {
            text_files({(folder / "a").string()});
        } catch (const Failure& f) { return std::string(f.what()); }
        return ""s;
    };
    for (const char* target : {"b", "nowhere"}) {
        std::filesystem::create_symlink(target, folder / "a/link");
        EXPECT_NE(refused().find("a/link: neither a file nor a folder"), std::string::npos) << target;
        std::filesystem::remove(folder / "a/link");
    }
    std::filesystem::create_symlink("2.txt", folder / "a/link");
    EXPECT_EQ(refused(), "");
}

TEST(Pipes, AreReadAsFilesAre) {
    const Folder folder;
    write(folder / "x.jsonl", kTwo), write(folder / "x.gz", gzip(kTwo));
    const auto run = [&](const std::string& shell) {
        std::string full = "cd '" + folder.path().string() + "' && bash -c '" + shell + "' 2> err > /dev/null";
        for (size_t at = full.find("TOKENIZE"); at != full.npos; at = full.find("TOKENIZE"))
            full.replace(at, 8, SLUICE_DATA_PROGRAM " tokenize --replace --out out");
        const int code = WEXITSTATUS(std::system(full.c_str()));
        if (code != 0) return -code;
        int documents = 0;
        for (const ShardFacts& shard : read_shard_set(folder / "out/tokens.json").shards)
            documents += int(shard.documents);
        return documents;
    };
    EXPECT_EQ(run("cat x.jsonl | TOKENIZE -"), 2);
    EXPECT_EQ(run("cat x.gz | TOKENIZE -"), 2);
    EXPECT_EQ(run("TOKENIZE - < x.gz"), 2);
    EXPECT_EQ(run("cat x.jsonl | TOKENIZE /dev/stdin"), 2);
    EXPECT_EQ(run("TOKENIZE <(zcat x.gz) x.jsonl <(echo prose)"), 5);
    EXPECT_EQ(run("mkfifo p; cat x.jsonl > p & TOKENIZE p"), 2);
    EXPECT_EQ(run("(cat x.jsonl; sleep 0.3; printf \"{\\\"text\\\": \\\"c\\\"}\") | TOKENIZE -"), 3);
    EXPECT_EQ(run("(printf \"{\\\"text\"; sleep 0.3; printf \"\\\": \\\"c\\\"}\") | TOKENIZE -"), 1);
    EXPECT_EQ(run("TOKENIZE - < /dev/null"), -3);
    EXPECT_NE(read_file(folder / "err", 3, 1 << 20).find("standard input: is empty"), std::string::npos);
    EXPECT_EQ(run("cat x.jsonl | TOKENIZE - -"), -3);
    EXPECT_EQ(run("TOKENIZE --on-error maybe x.jsonl"), -2);
    EXPECT_EQ(run("TOKENIZE --format yaml x.jsonl"), -2);
    EXPECT_EQ(run("(cat x.jsonl; echo bad) | TOKENIZE --on-error skip -"), 2);
    EXPECT_NE(read_file(folder / "err", 3, 1 << 20).find("standard input:3: not JSON"), std::string::npos);
}

}  // namespace
}  // namespace sluice
