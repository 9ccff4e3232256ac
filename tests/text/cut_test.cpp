// Wherever a tokenizer lets a text be cut, the parts have the ids of the whole; and it lets every text with lines be
// cut, unless its model allows it nowhere.
#include <gtest/gtest.h>

#include "base/utf8.h"
#include "text/nfc.h"
#include "text/support.h"
#include "text/text_parts.h"

namespace sluice {
namespace {

// A text in parts, of each of which only a beginning is known when it is cut. Returns the ids; adds to `cuts`.
std::vector<int32_t> ids_in_parts(const Tokenizer& tokenizer, std::string_view text, std::mt19937_64& random,
                                  int& cuts) {
    std::vector<int32_t> ids;
    bool continues = false;
    for (int vain = 0; !text.empty();) {
        const auto known = whole_characters(text.substr(0, 1 + random() % text.size()));
        size_t cut = tokenizer.cut(known);
        EXPECT_LE(cut, known.size());
        if (cut == 0 && ++vain < 6) continue;
        cuts += cut > 0;
        if (cut == 0) cut = text.size();
        const auto some =
            continues ? tokenizer.encode_rest(text.substr(0, cut)) : tokenizer.encode(text.substr(0, cut));
        ids.insert(ids.end(), some.begin(), some.end());
        text.remove_prefix(cut);
        continues = true;
    }
    return ids;
}

// How many places were found in `texts` odd texts; each must be right.
int hold(const std::string& name, int texts = 400) {
    const auto tokenizer = open_tokenizer(name);
    std::mt19937_64 random(7);
    int cuts = 0;
    for (int i = 0; i < texts; i++) {
        const std::string text = odd_text(random, 1 + random() % (i % 20 == 0 ? 3000 : 120));
        EXPECT_EQ(ids_in_parts(*tokenizer, text, random, cuts), tokenizer->encode(text)) << name << ": " << text;
        if (testing::Test::HasFailure()) break;
    }
    return cuts;
}

// However much of `text` is known when it is cut.
void hold_at_every_length(const Tokenizer& tokenizer, const std::string& text) {
    const auto whole = tokenizer.encode(text);
    for (size_t known = 1; known < text.size(); known++) {
        const size_t cut = tokenizer.cut(text.substr(0, known));
        auto ids = tokenizer.encode(text.substr(0, cut));
        const auto rest = cut > 0 ? tokenizer.encode_rest(text.substr(cut)) : whole;
        ids.insert(ids.end(), rest.begin(), rest.end());
        EXPECT_EQ(ids, whole) << "cut at " << cut << " of " << known << ": " << text;
    }
}

TEST(Cut, PatternsOfEveryKind) {
    const Folder folder;
    const std::vector<std::vector<std::string>> kinds{
        {kO200k},
        {kGpt2},
        {R"(\p{N})", kGpt2},
        {R"([\r\n])", R"(\s?[A-Za-z]+)", R"(\s?[!-/:-~]+)", R"(\s+$)", R"([\x{4e00}-\x{9fa5}]+)", R"(\p{N})"},
        {R"(\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))|[^\s\p{N}]+|\s+)"},
        {R"((?<=\n)[a-z]|(?<!a)b|\w+|\s|[^\w\s]+)"},
        {R"(\B[a-z]{2}|[a-z]{3}|\s|\w)"},
        {R"(\b\w+\b|\s+)"},
        {R"([^\n]+(?=[^\n]*$)|\n|.)"},
        {R"(a(?=[\s\S]*X)|b|\s+|\w+)"},
        {R"([^\n]*\n)"},
        {R"([a-z\s]+)", R"(\s+|[a-z])", R"((?<=\s)a)"},
        {R"([a-z\s]{1,5})", R"(\s+|[a-z])"},
        {R"(\n+)"}};
    for (size_t i = 0; i < kinds.size(); i++)
        EXPECT_GT(hold(with_patterns(folder, std::to_string(i), kinds[i])), 200) << kinds[i][0];
}

TEST(Cut, WithoutPatterns) {
    const Folder folder;
    EXPECT_GT(hold(with_patterns(folder, "none", {})), 200);
    // A rest that is a token would be that token, whatever the merges say.
    const auto whole_words = changed_json(folder, "words", [](Json& json) {
        json["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
        json["model"]["ignore_merges"] = true;
        json["added_tokens"].erase(2);  // those that are not special, behind which a text is always cut
        while (json["added_tokens"].size() > 2) json["added_tokens"].erase(2);
    });
    EXPECT_EQ(hold(whole_words), 0);
}

TEST(Cut, AddedTokensOverABreak) {
    const Folder folder;
    const auto added = changed_json(folder, "added", [](Json& json) {
        const std::pair<const char*, bool> tokens[] = {
            {"\n\n", false}, {"b\r\n", true}, {"the quick", false}, {"\xc3\xa9", true}, {"ab\ncd/", false}};
        int id = 430;
        for (const auto& [content, normalised] : tokens)
            json["added_tokens"].push_back(
                {{"id", id++}, {"content", content}, {"special", false}, {"normalized", normalised}});
    });
    EXPECT_GT(hold(added), 200);
    EXPECT_EQ(open_tokenizer(added)->encode("e\xcc\x81"), std::vector<int32_t>{433}) << "found once it is normalised";
}

// Of a long token that the known text's end cuts, what is known can hold others, and places to cut.
TEST(Cut, NotWithinATokenThatGoesOn) {
    const Folder folder;
    for (const bool normalised : {false, true}) {
        const auto added = changed_json(folder, "added", [&](Json& json) {
            int id = 430;
            for (const char* content : {"the quick brown fox jumps", "the quick"})
                json["added_tokens"].push_back(
                    {{"id", id++}, {"content", content}, {"special", false}, {"normalized", normalised}});
        });
        const auto tokenizer = open_tokenizer(added);
        EXPECT_EQ(tokenizer->encode("the quick brown fox jumps"), std::vector<int32_t>{430});
        hold_at_every_length(*tokenizer, "a man, the quick brown fox jumps over the quick brown fox of a man");
    }
    // Without patterns, where merges make long tokens.
    const auto merged = changed_json(folder, "merged", [](Json& json) {
        json["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
        json["added_tokens"] = Json::array({json["added_tokens"][0]});
        for (const auto& [piece, id] : {std::pair{"cd", 440}, {"bcd", 441}, {"abcd", 442}})
            json["model"]["vocab"][piece] = id;
        json["model"]["merges"] = {"c d", "b cd", "a bcd"};
    });
    const auto tokenizer = open_tokenizer(merged);
    EXPECT_EQ(tokenizer->encode("abcd"), std::vector<int32_t>{442});
    EXPECT_EQ(tokenizer->cut("abcdabc"), 4u);
    hold_at_every_length(*tokenizer, "dabcdabcabdbcdcdabcd");
}

// An accent may follow, with which the last letter composes.
TEST(Cut, NotBehindALetterThatMayCompose) {
    const auto tokenizer = open_tokenizer(SLUICE_SOURCE_DIR "/tests/text/qwen3_like.json");
    for (const std::string text : {"a man and it's", "\xc3\xa9 man and it's"}) {
        const size_t cut = tokenizer->cut(text);
        EXPECT_GT(cut, 0u);
        EXPECT_LT(cut, text.size());
    }
}

TEST(Cut, SentencePieceModelsOfEveryKind) {
    const Folder folder;
    using Options = std::unordered_map<std::string, std::string>;
    const Options plain{{"normalization_rule_name", "identity"}, {"remove_extra_whitespaces", "false"}};
    std::ofstream(folder / "rules.tsv") << "D A\t20\n61 62\t63\n2C 20\t2C\n71\t\n";
    const std::map<std::string, Options> kinds{
        {"default", {}},
        {"llama", {plain.begin(), plain.end()}},
        {"symbols", {{"user_defined_symbols", "\n,the\n,<think>"}, {"add_dummy_prefix", "false"}}},
        {"keep", {{"remove_extra_whitespaces", "false"}}},
        {"fold", {{"normalization_rule_name", "nfkc_cf"}}},
        {"across", {{"split_by_whitespace", "false"}}},
        {"rules", {{"normalization_rule_tsv", (folder / "rules.tsv").string()}}},
        {"bytes", {{"byte_fallback", "true"}, {"vocab_size", "450"}, {"remove_extra_whitespaces", "false"}}},
        {"unknown", {{"character_coverage", "0.98"}, {"normalization_rule_name", "identity"}}}};
    for (auto [name, options] : kinds) {
        options["model_type"] = "bpe";
        EXPECT_GT(hold(sentence_piece(folder, name, options)), 200) << name;
    }
    EXPECT_GT(hold(sentence_piece(folder, "char", {{"model_type", "char"}})), 200);
    // What these make of a text hangs on all of it.
    for (const char* type : {"unigram", "word"})
        EXPECT_EQ(hold(sentence_piece(folder, type, {{"model_type", type}}), 60), 0) << type;
    EXPECT_EQ(
        hold(sentence_piece(folder, "suffix", {{"model_type", "bpe"}, {"treat_whitespace_as_suffix", "true"}}), 60), 0);
}

// Else memory would grow with the text.
TEST(Cut, LinesOfEveryKind) {
    const std::vector<std::string> lines{"It is a truth, that a single man\r\n",
                                         "a truth, that\r",
                                         "a man\xe2\x80\xa8",
                                         "a man\xe2\x80\xa9",
                                         "a man\xc2\x85",
                                         "A paragraph.\n\n\n",
                                         "    return x;\n",
                                         "\t\tgoto y;   \t\n",
                                         "a man   \n",
                                         "12 34\n",
                                         "- a man\n",
                                         "\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97\xe3\x80\x82\n",
                                         "\xd0\x96\xd0\xb5\xd1\x80\xd0\xb0 \xd1\x81\n",
                                         "\xd8\xb3\xd9\x84\xd8\xa7\xd9\x85\n",
                                         "\xe0\xb8\xaa\xe0\xb8\xa7\xe0\xb8\xb1\xe0\xb8\xaa\n",
                                         "e\xcc\x81 cafe\xcc\x81\n",
                                         "/usr/share.\n/bin\n",
                                         "{\n",
                                         "a\n",
                                         "\f\v a\n",
                                         "\xef\xbb\xbf"
                                         "x y\n"};
    const Folder folder;
    const std::vector<std::string> tokenizers{
        "bytes",
        SLUICE_SOURCE_DIR "/tests/text/gpt2_like.json",
        SLUICE_SOURCE_DIR "/tests/text/qwen3_like.json",
        with_patterns(folder, "o200k", {kO200k}),
        with_patterns(folder, "stages", {R"(\p{N}{1,3})", R"([\x{4e00}-\x{9fa5}]+)", kGpt2}),
        sentence_piece(folder, "default", {{"model_type", "bpe"}}),
        sentence_piece(folder, "llama",
                       {{"model_type", "bpe"},
                        {"normalization_rule_name", "identity"},
                        {"remove_extra_whitespaces", "false"},
                        {"byte_fallback", "true"},
                        {"vocab_size", "450"}})};
    for (const auto& name : tokenizers) {
        const auto tokenizer = open_tokenizer(name);
        for (const auto& line : lines) {
            std::string text;
            while (text.size() < kPart) text += line;
            EXPECT_GT(cut_of(text, tokenizer.get()), kPart / 2) << name << ": " << line;
        }
    }
}

TEST(Cut, LongTextsInParts) {
    const Folder folder;
    std::mt19937_64 random(3);
    std::string text;
    while (text.size() < 3 * kPart) text += odd_text(random, 2000);
    for (const auto& name :
         {with_patterns(folder, "o200k", {kO200k}), sentence_piece(folder, "default", {{"model_type", "bpe"}})}) {
        const auto tokenizer = open_tokenizer(name);
        EXPECT_EQ(encode_in_parts(*tokenizer, text, false), tokenizer->encode(text));
    }
}

TEST(Nfc, CharactersThatJoinNothing) {
    for (const char32_t c : U"a1\n\u00e9\u4e2d\uac00\U0001F600") { EXPECT_TRUE(nfc_begins(c)) << int(c); }
    for (const char32_t c : {U'\u0301', U'\u0345', U'\u1161', U'\u11a8', U'\u3099', U'\u09be', U'\u0f71'})
        EXPECT_FALSE(nfc_begins(c)) << int(c);
}

TEST(Utf8, Invalid) {
    const std::string good = "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80 and eight bytes\xed\x9f\xbf\xf4\x8f\xbf\xbf";
    EXPECT_EQ(invalid_utf8(good), good.size());
    for (const char* bad : {"\xff", "\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88",
                            "\xc3", "\xe4\xb8", "\xe4\xb8z", "\xf0\x9f\x98"})
        EXPECT_EQ(invalid_utf8(good + bad), good.size()) << bad;
    for (const char* begun : {"\xc3", "\xe4\xb8", "\xf0\x9f\x98"}) {
        EXPECT_EQ(invalid_utf8(good + begun, true), good.size() + std::string(begun).size());
        EXPECT_EQ(whole_characters(good + begun), good);
    }
    EXPECT_EQ(invalid_utf8(good + "\xed\xa0", true), good.size());
    EXPECT_EQ(whole_characters(good), good);
    EXPECT_EQ(character_at(good, 1), U'\u00e9');
    EXPECT_EQ(character_at(good, 6), U'\U0001F600');
}

}  // namespace
}  // namespace sluice
