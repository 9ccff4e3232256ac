// Tokenizers of every family, made on the spot, and texts to try them on.
#pragma once
#include <sentencepiece_trainer.h>

#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "support/folder.h"
#include "text/tokenizer.h"

namespace sluice {

inline const std::string kHere = SLUICE_SOURCE_DIR "/tests/text/";
inline Json fixture(const std::string& name) { return parse_json(read_file(kHere + name + ".json", 3, 1 << 24)); }

// qwen3_like.json, changed.
inline std::string changed_json(const Folder& folder, const std::string& name,
                                const std::function<void(Json&)>& change) {
    Json json = fixture("qwen3_like");
    change(json);
    write_file(folder / (name + ".json"), json.dump());
    return (folder / (name + ".json")).string();
}
// Every two of these characters merge (space, line feed and carriage return among them, as vocabularies write them), so
// that ids tell where words end.
inline void merge_pairs(Json& json) {
    const std::vector<std::string> characters{"a", "b", "c", "t", "h", "e", "X",        "1",        "2",
                                              "3", "4", "/", ".", "'", "s", "\xc4\xa0", "\xc4\x8a", "\xc4\x8d"};
    int id = 500;
    Json merges = Json::array();
    for (const auto& left : characters)
        for (const auto& right : characters) {
            if (!json["model"]["vocab"].contains(left + right)) json["model"]["vocab"][left + right] = id++;
            merges.push_back({left, right});
        }
    json["model"]["merges"] = merges;
}
// The same with other patterns, one a stage.
inline std::string with_patterns(const Folder& folder, const std::string& name,
                                 const std::vector<std::string>& patterns) {
    return changed_json(folder, name, [&](Json& json) {
        Json stages = Json::array();
        for (const auto& pattern : patterns)
            stages.push_back(
                {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
        stages.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}});
        json["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", stages}};
        merge_pairs(json);
    });
}
constexpr char kO200k[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kGpt2[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// A SentencePiece model of a small corpus. options: the trainer's, beside the corpus.
inline std::string sentence_piece(const Folder& folder, const std::string& name,
                                  std::unordered_map<std::string, std::string> options) {
    std::vector<std::string> lines;
    for (int i = 0; i < 60; i++)
        for (const char* line : {"It is a truth universally acknowledged, that a single man",
                                 "in possession of a good fortune,", "must be in want of a wife. 1813/14 ab_cd",
                                 "caf\xc3\xa9 \xe4\xb8\xad\xe6\x96\x87 \xe6\x96\x87 the quick"})
            lines.push_back(line);
    const std::string model = (folder / name).string();
    options.insert({{"model_prefix", model},
                    {"vocab_size", "220"},
                    {"hard_vocab_limit", "false"},
                    {"num_threads", "1"},
                    {"minloglevel", "2"}});
    std::ofstream corpus(model + ".txt");
    for (const auto& line : lines) corpus << line << "\n";
    corpus.close();
    options["input"] = model + ".txt";
    const auto status = sentencepiece::SentencePieceTrainer::Train(options);
    if (!status.ok()) throw std::runtime_error(status.ToString());
    return model + ".model";
}

// Odd mixes of what patterns, added tokens and normalisers tell apart.
inline std::string odd_text(std::mt19937_64& random, size_t bytes) {
    static const std::vector<std::string> kBits{"a",
                                                "b",
                                                "the",
                                                " the",
                                                "quick",
                                                "\n",
                                                "\r\n",
                                                "\r",
                                                " ",
                                                "  ",
                                                "\t",
                                                "\n\n",
                                                " \n",
                                                "/",
                                                "//",
                                                ".",
                                                ",",
                                                "!?",
                                                "1",
                                                "23",
                                                "456",
                                                "'s",
                                                "'",
                                                "\xc3\xa9",
                                                "e\xcc\x81",
                                                "\xcc\x81",
                                                "\xe4\xb8\xad",
                                                "\xe6\x96\x87",
                                                "\xe3\x80\x82",
                                                "\xe2\x80\xa8",
                                                "\xc2\x85",
                                                "\xe3\x80\x80",
                                                "<think>",
                                                "<thi",
                                                "nk>",
                                                "X",
                                                "Zq",
                                                "\xf0\x9f\x98\x80",
                                                "\xe1\x84\x80",
                                                "\xe1\x85\xa1",
                                                "\xe2\x96\x81",
                                                "\xef\xac\x81",
                                                "\xef\xbc\xa1",
                                                "\xc2\xa0",
                                                "\xe2\x80\x8b",
                                                "_",
                                                "ab\ncd",
                                                "-",
                                                "don't",
                                                "a single man"};
    std::vector<std::string> some;
    for (size_t i = 0, n = 1 + random() % 12; i < n; i++) some.push_back(kBits[random() % kBits.size()]);
    std::string text;
    while (text.size() < bytes) text += some[random() % some.size()];
    return text;
}

}  // namespace sluice
