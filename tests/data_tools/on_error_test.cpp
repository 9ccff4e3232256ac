// Documents that cannot be read are refused or left out, never silently.
#include "data/shard_set.h"
#include "data_tools/commands.h"
#include "data_tools/inputs.h"
#include "support/folder.h"

namespace sluice {
namespace {

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
    args.tokenizer = SLUICE_SOURCE_DIR "/tests/text/gpt2_like.json";
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

}  // namespace
}  // namespace sluice
