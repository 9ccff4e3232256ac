// What inputs hold is told by their content, whatever their names.
#include "documents/content.h"

#include "data_tools/inputs.h"
#include "support/folder.h"

namespace sluice {
namespace {

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

// RFC 7464: a record behind each byte 0x1e, read as lines are.
TEST(Inputs, JsonTextSequences) {
    const Folder folder;
    const std::string a = "{\"text\": \"a\"}", b = "{\"text\": \"b\"}", rs = "\x1e", mark = "\xef\xbb\xbf";
    for (const std::string& sequence :
         {rs + a + "\n" + rs + b + "\n", rs + a + rs + b, rs + rs + a + "\r\n\n" + rs + b, a + rs + b + rs + "\n",
          "\n " + rs + " " + a + "\n" + rs + b + "\n", a + "\n" + rs + b + "\n", mark + rs + a + "\n" + rs + b})
        for (const char* name : {"x.json-seq", "x.jsonl", "x.txt", "x"})
            for (const std::string& bytes : {sequence, gzip(sequence), zstd(sequence)}) {
                EXPECT_EQ(refusal(write(folder / name, bytes)), "") << sequence;
                EXPECT_EQ(texts({(folder / name).string()}), (std::vector<std::string>{"a", "b"})) << sequence;
            }
    const std::string large(300'000, 'x');
    EXPECT_EQ(texts({write(folder / "x", rs + "{\"text\": \"" + large + "\"}\n" + rs + b)}),
              (std::vector<std::string>{large, "b"}));
    EXPECT_EQ(texts({write(folder / "x", rs + a + rs + b + "\n")}, Format::lines),
              (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(texts({write(folder / "x", rs + a)}, Format::text), std::vector<std::string>{rs + a});
    // A record that was cut short takes no other with it, and is told with its line.
    const auto cut = texts({write(folder / "x", rs + a + "\n" + rs + "{\"text\": \"c" + rs + b + "\n" + rs + "prose")});
    ASSERT_EQ(cut.size(), 4u);
    EXPECT_NE(cut[1].find("x:2: not JSON"), std::string::npos) << cut[1];
    EXPECT_EQ(cut[2], "b");
    EXPECT_NE(cut[3].find("x:3: not JSON"), std::string::npos) << cut[3];
    for (const char* records :
         {"\x1e{\n\"text\": \"a\"\n}\n", "\x1e{\n\"text\": \"a\"\n}\n\x1e{\n\"text\": \"b\"\n}\n"})
        for (const char* name : {"x.json-seq", "x"})
            EXPECT_NE(refusal(write(folder / name, records)).find("jq -c"), std::string::npos) << records;
    for (const char* records : {"\x1e one\n\x1e two\n", "\n\x1eone\x1etwo", "\x1cone", "\x1done", "\x1fone"})
        EXPECT_NE(refusal(write(folder / "x.txt", records)).find("separators"), std::string::npos) << records;
    EXPECT_EQ(refusal(write(folder / "x.txt", "\x1e one\n"), Format::text), "");
    for (const char* hyphen : {"non\x1e"
                               "breaking\n",
                               "so\x1f"
                               "ft\n"})  // of word processors
        EXPECT_EQ(texts({write(folder / "x.txt", hyphen)}), std::vector<std::string>{hyphen});
}

TEST(Inputs, JoinedJsonIsRefused) {
    const Folder folder;
    const std::string a = "{\"text\": \"a\"}", b = "{\"text\": \"b\"}";
    for (const std::string& between : {""s, " "s, ","s, ", "s, ",\n"s, ";"s, "\r"s, "\f\n"s, "\v"s, "\x1c"s, "\x1d"s,
                                       "\x1f"s, "\xc2\x85"s, "\xe2\x80\xa8"s, "\xe2\x80\xa9"s, "\xef\xbb\xbf"s})
        EXPECT_NE(refusal(write(folder / "x", a + between + b)).find("jq -c"), std::string::npos) << between;
    for (const std::string& json :
         {"[1, " + a + "]", "[null, \"a\"]"s, "[1, [2]]"s, "[\"a\"]\n[\"b\"]\n"s, "[1, 2]\n[3]\n"s, "\"a\"\n\"b\"\n"s,
          "13" + a + "13" + b, "13" + a, "13:" + a + ",13:" + b + ",", "14\n" + a + "\n14\n" + b + "\n",
          "13 " + a + "13 " + b})
        for (const char* name : {"x", "x.txt", "x.jsonl"})
            EXPECT_NE(refusal(write(folder / name, json)).find("jq -c"), std::string::npos) << name << json;
    const std::string cut[] = {"[" + a + ",\n" + b + ",]\n", "[\n" + a + ",\n",
                               "{\n \"text\": \"a\",\n \"score\": NaN\n}", "[\n {\n \"text\": NaN\n}]",
                               "{\n \"a\": 1,\n \"text\": \"b"};
    for (const std::string& json : cut)
        EXPECT_NE(refusal(write(folder / "x.txt", json)).find("cut off or wrong at byte "), std::string::npos) << json;
    EXPECT_NE(refusal(write(folder / "x", "\xef\xbb\xbf\n" + cut[1])).find("at byte 18:"), std::string::npos)
        << refusal((folder / "x").string());
    // Byte order marks within files that were joined, and what Python prints.
    const std::string mark = "\xef\xbb\xbf";
    for (const std::string& lines :
         {mark + a + "\n" + mark + b + "\n", a + "\n" + mark + b, mark + mark + a + "\n" + b})
        EXPECT_EQ(texts({write(folder / "x", lines)}), (std::vector<std::string>{"a", "b"}));
    EXPECT_NE(texts({write(folder / "x", "{'text': 'a'}\n{'text': 'b'}\n")})[0].find("x:1: not JSON"),
              std::string::npos);
    for (const std::string& text :
         {"15 " + a + " is a pair\n12{}", "12" + a, "1\n2\n3\n"s, "null\ntrue\n"s, "\"a\"\nb\n"s, "[1]\nb\n"s,
          "[1, 2]\n"s, a + ", is one.\nAnd more.\nAnd more.\n", "{\"a\" is no key\n"s, "{\"a\": "s})
        EXPECT_EQ(texts({write(folder / "x.txt", text)}), std::vector<std::string>{text}) << text;
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

}  // namespace
}  // namespace sluice
