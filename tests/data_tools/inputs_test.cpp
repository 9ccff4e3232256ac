// What inputs hold is told by their content; damage and bad lines are refused or left out, never silently.
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <fstream>

#include "base/check.h"
#include "base/shard_set.h"
#include "base/token_shard.h"
#include "data_tools/commands.h"
#include "data_tools/documents.h"
#include "support/folder.h"

namespace sluice {
namespace {

using namespace std::string_literals;

std::string gzip(const std::string& text) {
    z_stream z = {};
    EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    std::string out(deflateBound(&z, text.size()), '\0');
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    z.avail_in = uInt(text.size());
    z.next_out = reinterpret_cast<Bytef*>(out.data());
    z.avail_out = uInt(out.size());
    EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.resize(z.total_out);
    deflateEnd(&z);
    return out;
}
std::string zstd(const std::string& text) {
    std::string out(ZSTD_compressBound(text.size()), '\0');
    out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
    return out;
}
std::string write(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    return path.string();
}

// The texts of all documents, and "error: ..." for those that cannot be read.
std::vector<std::string> texts(const std::vector<std::string>& files, Format format = Format::automatic,
                               size_t longest = DocumentReader::kLongestLine) {
    std::vector<std::string> all;
    DocumentReader reader(files, format, longest);
    for (std::vector<RawDocument> batch; reader.next(batch, 1 << 16);)
        for (const RawDocument& document : batch) try {
                const std::string text = text_of(document, "text");
                if (document.continues)
                    all.back() += text;
                else
                    all.push_back(text);
            } catch (const Failure& f) {
                EXPECT_EQ(f.code(), Exit::data);
                all.push_back("error: "s + f.what());
            }
    return all;
}
// Why a file is refused before anything is read; empty: it is not.
std::string refusal(const std::string& file, Format format = Format::automatic) {
    try {
        refuse_no_text({file}, format, false);
    } catch (const Failure& f) {
        EXPECT_EQ(f.code(), Exit::data);
        EXPECT_EQ(std::string(f.what()).find(file + ": "), 0u) << f.what();
        return f.what();
    }
    return "";
}
std::string long_text(size_t bytes) {  // that hardly compresses
    std::string text;
    for (uint64_t i = 1; text.size() < bytes; i++) text += std::to_string(i * i * 2654435761u % 1000003) + "\n";
    return text;
}

const std::string kTwo = "{\"text\": \"a\"}\n{\"text\": \"b\"}\n";

TEST(Inputs, JsonLinesUnderAnyName) {
    const Folder folder;
    const std::vector<std::string> two{"a", "b"};
    for (const char* name :
         {"x.jsonl", "x.json", "x.ndjson", "x.JSONL", "x.txt", "x", "x.gz", "x.jsonl.zst", "x.parquet"})
        EXPECT_EQ(texts({write(folder / name, kTwo)}), two) << name;
    for (const char* name : {"y.jsonl.gz", "y.json.gz", "y.gz", "y.zst", "y", "y.txt", "y.jsonl"}) {
        EXPECT_EQ(texts({write(folder / name, gzip(kTwo))}), two) << name;
        EXPECT_EQ(texts({write(folder / name, zstd(kTwo))}), two) << name;
    }
    EXPECT_EQ(texts({write(folder / "bom.jsonl", "\xef\xbb\xbf" + kTwo)}), two);
    EXPECT_EQ(texts({write(folder / "crlf.json", "\r\n{\"text\": \"a\"}\r\n\r\n{\"text\": \"b\"}")}), two);
    EXPECT_EQ(texts({write(folder / "one.json", "{\"id\": [1, {}], \"text\": \"a\"}")}), std::vector<std::string>{"a"});
    // A first line beyond what is looked at, and a bad line early on.
    const std::string large(300'000, 'x');
    EXPECT_EQ(texts({write(folder / "large", "{\"text\": \"" + large + "\"}\n" + kTwo)}),
              (std::vector<std::string>{large, "a", "b"}));
    for (const char* name : {"bad.jsonl", "bad.json", "bad"}) {
        const auto read = texts({write(folder / name, "{\"text\": NaN}\n" + kTwo)});
        ASSERT_EQ(read.size(), 3u) << name;
        EXPECT_NE(read[0].find(std::string(name) + ":1: not JSON"), std::string::npos) << read[0];
    }
    // Most of the first lines decide, not the very first.
    EXPECT_NE(texts({write(folder / "x", "prose\n" + kTwo)})[0].find("x:1: not JSON"), std::string::npos);
    const auto mixed = texts({write(folder / "x", "{\"text\": \"a\"}\n{\"text\": \"cut\nprose\n")});
    ASSERT_EQ(mixed.size(), 3u) << mixed[0];
    EXPECT_EQ(mixed[0], "a");
    // Where the name says JSON lines one of them is enough.
    EXPECT_EQ(texts({write(folder / "x.jsonl", "prose\nprose\n" + kTwo.substr(0, 14))}).back(), "a");
    EXPECT_EQ(texts({write(folder / "x.txt", "prose\nprose\n" + kTwo.substr(0, 14))}).size(), 1u);
    // Beyond the lines that are looked at any line is one of JSON.
    std::string many;
    for (int i = 0; i < 9; i++) many += kTwo;
    EXPECT_NE(texts({write(folder / "late.txt", many + "prose\n")}).back().find("late.txt:19: not JSON"),
              std::string::npos);
}

TEST(Inputs, TextThatBeginsLikeJson) {
    const Folder folder;
    for (const std::string& text :
         {"{ is a brace }\nand more\n"s, "{\"a\": 1}\nThis is prose.\nAnd more.\n"s, "{\n  int a = 3;\n}\n"s,
          "{}\nint\n"s, "[Illustration]\n\nChapter 1\n"s, "[1] A note.\n"s, "[1]\n"s, "\"quoted\"\n"s, "12\n"s,
          "null\n"s, "{"s, "["s, "{\"text\": \"cut\n"s, " \n"s, "\x1b[31mred\x1b[0m\f\n"s,
          "PARIS\nBMX\nORCS\nMZ\nRIFF\n"s, "BZh9 is no magic here\n"s, "```json\n{\"a\": 1}\n```\n"s}) {
        EXPECT_EQ(texts({write(folder / "x.txt", text)}), std::vector<std::string>{text});
        EXPECT_EQ(texts({write(folder / "x", text)}), std::vector<std::string>{text});
        EXPECT_EQ(texts({write(folder / "x.txt.gz", gzip(text))}), std::vector<std::string>{text});
        EXPECT_EQ(refusal((folder / "x.txt").string()), "");
    }
    EXPECT_EQ(texts({write(folder / "bom.txt",
                           "\xef\xbb\xbf"
                           "a")}),
              std::vector<std::string>{"a"});
    EXPECT_EQ(texts({write(folder / "j", kTwo)}, Format::text), std::vector<std::string>{kTwo});
    EXPECT_EQ(texts({write(folder / "p.json", "{\n}")}, Format::text), std::vector<std::string>{"{\n}"});
    EXPECT_NE(texts({write(folder / "t.txt", "prose")}, Format::lines)[0].find("t.txt:1: not JSON"), std::string::npos);
}

TEST(Inputs, JsonThatIsNoLinesIsRefused) {
    const Folder folder;
    const std::string head = "{\n \"text\": \"" + std::string(300'000, 'y') + "\",\n \"x\": 1\n}\n";
    for (const std::string& json :
         {"{\n  \"text\": \"a\"\n}\n"s, "[\n  {\"text\": \"a\"},\n  {\"text\": \"b\"},\n  {\"text\": \"c\"}\n]\n"s,
          "[{\"text\": \"a\"}, {\"text\": \"b\"}]"s, "{\n\"text\": \"a\"}\n{\n\"text\": \"b\"}\n"s, "[\"a\",\n\"b\"]"s,
          "\n\n {\n}"s, head})
        for (const char* name : {"x.json", "x.jsonl", "x", "x.txt"})
            EXPECT_NE(refusal(write(folder / name, json)).find("jq -c"), std::string::npos)
                << name << json.substr(0, 99);
    for (const char* prose : {"This is prose.\n", "1\n2\n", "\"a\"\n", "{ prose }\n"})
        EXPECT_NE(refusal(write(folder / "p.jsonl", prose)).find("no JSON object"), std::string::npos) << prose;
}

TEST(Inputs, WhatIsNoTextIsRefusedByWhatItIs) {
    const Folder folder;
    std::string tar(1024, '\0');
    tar.replace(0, 5, "a.txt").replace(257, 5, "ustar");
    const std::string nul = "\0"s;
    const std::pair<std::string, const char*> cases[] = {{"BZh91AY&SY\x01", "bzip2"},
                                                         {"\xfd"
                                                          "7zXZ\0"s,
                                                          "xz"},
                                                         {"\x04\x22\x4d\x18 lz4", "lz4"},
                                                         {"PK\x03\x04 zip", "ZIP"},
                                                         {"7z\xbc\xaf\x27\x1c", "7-Zip"},
                                                         {tar, "tar"},
                                                         {gzip(tar), "tar"},
                                                         {zstd(tar), "tar"},
                                                         {"PAR1\x15\x04", "Parquet"},
                                                         {"ARROW1\0\0"s, "Arrow"},
                                                         {"Obj\x01", "Avro"},
                                                         {"ORC\x01", "ORC"},
                                                         {"\x89HDF\r\n\x1a\n", "HDF5"},
                                                         {"\x93NUMPY", "NumPy"},
                                                         {"SQLite format 3\0"s, "SQLite"},
                                                         {"%PDF-1.7\n", "PDF"},
                                                         {"\x7f"
                                                          "ELF\x02",
                                                          "ELF"},
                                                         {"MZ\x90\0"s, "Windows"},
                                                         {"\x89PNG\r\n\x1a\n", "PNG"},
                                                         {"\xff\xd8\xff\xe0", "JPEG"},
                                                         {"GIF89a\x01", "GIF"},
                                                         {"OggS\0"s, "Ogg"},
                                                         {"MMIDIDX\0\0"s, "Megatron"},
                                                         {"\x88\xd8\x34\x01", "token shard"},
                                                         {"\xff\xfeh\0i\0"s, "UTF-16"},
                                                         {"\xfe\xff\0h\0i"s, "UTF-16"},
                                                         {"h\0e\0l\0l\0o\0"s, "UTF-16LE"},
                                                         {"\0h\0e\0l\0l\0o"s, "UTF-16BE"},
                                                         {"\xff\xfe\0\0h\0\0\0"s, "UTF-32"},
                                                         {"WARC/1.0\r\n", "WARC"},
                                                         {gzip(gzip("a")), "compressed twice"},
                                                         {zstd(gzip("a")), "compressed twice"},
                                                         {"text" + nul + "more", "byte 4"},
                                                         {std::string(100, '\0'), "byte 0"},
                                                         {gzip("text" + nul), "byte 4"}};
    for (const auto& [bytes, what] : cases)
        for (const char* name : {"x.txt", "x.jsonl", "x", "x.gz"}) {
            const std::string why = refusal(write(folder / name, bytes));
            EXPECT_NE(why.find(what), std::string::npos) << what << ": " << why;
        }
    for (const char* name : {"x.gz", "x.txt.bz2", "x.xz", "x.zip", "x.tar", "x.parquet", "x.bin", "x.jsonl.gz"})
        EXPECT_NE(refusal(write(folder / name, "text")).find("is named "), std::string::npos) << name;
    // A NUL far behind the beginning.
    const auto read = texts({write(folder / "late.txt", std::string(200'000, 'a') + nul + "b")});
    EXPECT_EQ(read.back(), "error: " + (folder / "late.txt").string() + ": is no text: a NUL byte at byte 200000");
}

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

// ---------------------------------------------------------------- the command
struct Ran {
    int code;
    std::string out, err;
    int64_t documents = 0;
};
Ran tokenize(const Folder& folder, const std::vector<std::string>& inputs, OnError on_error) {
    TokenizeArgs args;
    args.inputs = inputs;
    args.out = (folder / "out").string();
    args.replace = true;
    args.threads = 2;
    args.on_error = on_error;
    std::filesystem::remove_all(args.out);
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Ran ran{0, "", ""};
    std::string thrown;
    try {
        ran.code = tokenize_command(args);
    } catch (const Failure& f) {
        ran.code = int(f.code());
        thrown = f.what();
    }
    ran.out = testing::internal::GetCapturedStdout();
    ran.err = testing::internal::GetCapturedStderr() + thrown;
    if (ran.code == 0)
        for (const ShardFacts& shard : read_shard_set(folder / "out/tokens.json").shards)
            ran.documents += shard.documents;
    return ran;
}

TEST(OnError, BadLinesAreRefusedOrLeftOutAndTold) {
    const Folder folder;
    const std::string deep = std::string(100, '[') + std::string(100, ']'), good = "{\"text\": \"fine\"}\n";
    const std::pair<std::string, const char*> bad[] = {{"{\"text\": \"\\ud800 alone\"}", "surrogate"},
                                                       {"{\"text\": \"a\", \"score\": NaN}", "not JSON: column"},
                                                       {"{\"text\": \"cut", "missing closing quote"},
                                                       {"{\"text\": \"a\xff\"}", "UTF-8"},
                                                       {"{\"text\": \"a\0b\"}"s, "NUL"},
                                                       {"{\"body\": \"a\"}", "no key 'text' (there are: body)"},
                                                       {"{\"text\": 3}", "not a string, but a JSON number"},
                                                       {"{\"text\": null}", "not a string, but a JSON null"},
                                                       {"[\"a\"]", "no object, but a JSON array"},
                                                       {"{\"text\": \"a\", \"x\": " + deep + "}", "nested too deeply"},
                                                       {"{\"text\": \"a\", \"text\": \"b\"}", "stands twice"},
                                                       {"prose", "not JSON"}};
    std::string all;
    for (const auto& [line, why] : bad) {
        const std::string file = write(folder / "crawl.jsonl", good + good + line + "\n" + good);
        Ran ran = tokenize(folder, {file}, OnError::refuse);
        EXPECT_EQ(ran.code, 3) << line;
        EXPECT_NE(ran.err.find(file + ":3: "), std::string::npos) << ran.err;
        EXPECT_NE(ran.err.find(why), std::string::npos) << ran.err;
        EXPECT_NE(ran.err.find("--on-error skip"), std::string::npos) << ran.err;
        EXPECT_FALSE(std::filesystem::exists(folder / "out/tokens.json"));
        ran = tokenize(folder, {file}, OnError::skip);
        EXPECT_EQ(ran.code, 0) << ran.err;
        EXPECT_EQ(ran.documents, 3) << line;
        EXPECT_NE(ran.err.find("1 document could not be read and was left out"), std::string::npos) << ran.err;
        EXPECT_NE(ran.err.find(file + ":3: "), std::string::npos) << ran.err;
        all += line + "\n" + good;
    }
    const std::string file = write(folder / "crawl.jsonl", all);
    const Ran ran = tokenize(folder, {file}, OnError::skip);
    EXPECT_EQ(ran.documents, 12);
    EXPECT_NE(ran.err.find("12 documents could not be read and were left out; the first 10:"), std::string::npos)
        << ran.err;
    EXPECT_NE(ran.err.find(file + ":19: "), std::string::npos) << ran.err;
    EXPECT_EQ(ran.err.find(file + ":21: "), std::string::npos) << ran.err;
    EXPECT_EQ(tokenize(folder, {write(folder / "good.jsonl", good)}, OnError::skip).err, "") << "nothing to tell";
    EXPECT_EQ(tokenize(folder, {write(folder / "none.jsonl", "{\"text\": 1}\n{\"text\": 2}\n")}, OnError::skip).code,
              3);
}

TEST(OnError, ALongBadValueMakesAShortMessage) {
    const Folder folder;
    const std::string line = "{\"text\": \"" + std::string(100'000, 'x') + "\xff\n";
    const Ran ran = tokenize(folder, {write(folder / "x.jsonl", kTwo + line)}, OnError::refuse);
    EXPECT_NE(ran.err.find("x.jsonl:3: not JSON"), std::string::npos) << ran.err.substr(0, 300);
    EXPECT_LT(ran.err.size(), 500u);
    for (const char c : ran.err) EXPECT_GE(c, ' ');
}

TEST(OnError, DamagedFilesAreLeftOutAndTold) {
    const Folder folder;
    std::string text = long_text(3'000'000);
    const std::string cut = write(folder / "cut.gz", gzip(kTwo + kTwo).substr(0, 40)),
                      empty = write(folder / "empty.txt", ""), good = write(folder / "good.txt", "fine");
    for (const std::string& file : {cut, empty}) {
        const Ran ran = tokenize(folder, {good, file}, OnError::refuse);
        EXPECT_EQ(ran.code, 3);
        EXPECT_NE(ran.err.find(file), std::string::npos) << ran.err;
    }
    const Ran ran = tokenize(folder, {cut, empty, good}, OnError::skip);
    EXPECT_EQ(ran.code, 0);
    for (const std::string& file : {cut, empty}) EXPECT_NE(ran.err.find(file), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("2 documents could not"), std::string::npos) << ran.err;
    // Of a long text that turns out to be none, what follows is left out too, and not given to the text before it.
    text[1000] = '\xff';
    TokenizeArgs args;
    args.inputs = {good, write(folder / "bad.txt", text), good};
    args.tokenizer = SLUICE_SOURCE_DIR "/tests/data_tools/gpt2_like.json";
    args.out = (folder / "bpe").string();
    args.on_error = OnError::skip;
    ASSERT_EQ(tokenize_command(args), 0);
    const ShardSet set = read_shard_set(folder / "bpe/tokens.json");
    EXPECT_EQ(set.shards[0].documents, 2);
    EXPECT_EQ(set.shards[0].text_bytes, 8);
    // What is no text at all is no bad document.
    EXPECT_EQ(tokenize(folder, {good, write(folder / "x.pdf", "%PDF-1.7")}, OnError::skip).code, 3);
}

TEST(OnError, TrainingATokenizerTakesTheSame) {
    const Folder folder;
    std::string text;
    for (int i = 0; i < 300; i++) text += "{\"text\": \"some words of line " + std::to_string(i) + "\"}\n";
    TrainTokenizerArgs args;
    args.inputs = {write(folder / "x.gz", gzip(text + "{\"text\": \"cut\n" + text))};
    args.out = (folder / "t.model").string();
    args.vocab = 300;
    EXPECT_THROW(train_tokenizer_command(args), Failure);
    EXPECT_FALSE(std::filesystem::exists(args.out));
    args.on_error = OnError::skip;
    testing::internal::CaptureStderr();
    EXPECT_EQ(train_tokenizer_command(args), 0);
    const std::string told = testing::internal::GetCapturedStderr();
    EXPECT_NE(told.find("1 document could not be read and was left out"), std::string::npos) << told;
    EXPECT_NE(told.find("x.gz:301: "), std::string::npos) << told;
}

TEST(Tokenize, ALastLineTellsTheWhole) {
    const Folder folder;
    std::filesystem::create_directory(folder / "in");
    write(folder / "in/a.txt", "text"), write(folder / "in/_SUCCESS", "");
    EXPECT_NE(
        tokenize(folder, {(folder / "in").string()}, OnError::refuse).out.find("1 document without text was left out"),
        std::string::npos);
    const Ran ran = tokenize(folder, {write(folder / "x.jsonl", kTwo + "{\"text\": \"fine\"}")}, OnError::refuse);
    EXPECT_NE(ran.out.find("in all 3 documents, 9 tokens, 6 bytes of text, 1.000 bytes a token | "), std::string::npos)
        << ran.out;
    EXPECT_NE(ran.out.find(" bytes of text/s | "), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find(" tokens/s\n"), std::string::npos) << ran.out;
}

// ---------------------------------------------------------------- pipes
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
