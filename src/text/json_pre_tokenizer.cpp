#include "text/json_pre_tokenizer.h"

#include <cctype>
#include <string>

namespace sluice {
namespace {

// The library's Punctuation: ASCII's, and Unicode's as of version 8, from when that code of the library dates.
constexpr char kPunctuation[] =
    R"([!-/:-@\[-`{-~\p{P}\x{166d}\x{111c9}&&[^\x{61d}\x{9fd}\x{a76}\x{c77}\x{c84}\x{1b7d}\x{1b7e}\x{2e43}-\x{2e4f})"
    R"(\x{2e52}-\x{2e5d}\x{10ead}\x{10f55}-\x{10f59}\x{10f86}-\x{10f89}\x{1144b}-\x{1144f}\x{1145a}\x{1145b}\x{1145d})"
    R"(\x{11660}-\x{1166c}\x{116b9}\x{1183b}\x{11944}-\x{11946}\x{119e2}\x{11a3f}-\x{11a46}\x{11a9a}-\x{11a9c})"
    R"(\x{11a9e}-\x{11aa2}\x{11c41}-\x{11c45}\x{11c70}\x{11c71}\x{11ef7}\x{11ef8}\x{11fff}\x{12ff1}\x{12ff2})"
    R"(\x{16e97}-\x{16e9a}\x{16fe2}\x{1e95e}\x{1e95f}]])";

class Reader {
 public:
    explicit Reader(ByteLevelModel& model) : model_(model) {}
    void read(const LargeJson& stage);
    bool byte_level() const { return byte_level_; }

 private:
    // Stages after ByteLevel split its output, which is in the byte alphabet.
    void add(const std::string& pattern) {
        (byte_level_ ? model_.byte_pre_tokenizer : model_.pre_tokenizer).add_stage(Pattern(pattern));
    }
    void split(const LargeJson& stage);
    std::string behaviour(const LargeJson& stage, const char* usual) const;
    void read_byte_level(const LargeJson& stage);

    ByteLevelModel& model_;
    bool byte_level_ = false;
};

void Reader::read(const LargeJson& stage) {
    const std::string type = to_text(member(stage, "type"), "type");
    if (type == "Sequence") {
        if (!member(stage, "pretokenizers").is_array()) throw JsonError("'pretokenizers' is not a list");
        for (const LargeJson& inner : stage["pretokenizers"]) read(inner);
    } else if (type == "ByteLevel") {
        read_byte_level(stage);
    } else if (type == "Split") {
        split(stage);
    } else if (type == "Digits") {
        add(true_in(stage, "individual_digits") ? R"(\p{N})" : R"(\p{N}+)");
    } else if (type == "Punctuation") {
        add(std::string(kPunctuation) + (behaviour(stage, "Isolated") == "Contiguous" ? "+" : ""));
    } else {
        throw JsonError("pre_tokenizer '" + type +
                        "' is not supported: ByteLevel, Split, Digits, Punctuation and Sequence are");
    }
}

void Reader::read_byte_level(const LargeJson& stage) {
    if (byte_level_) throw JsonError("pre_tokenizer 'ByteLevel' twice is not supported");
    if (true_in(stage, "add_prefix_space")) throw JsonError("add_prefix_space is not supported");
    if (!stage.contains("use_regex") || true_in(stage, "use_regex")) add(kGpt2Pattern);
    byte_level_ = true;
}

std::string Reader::behaviour(const LargeJson& stage, const char* usual) const {
    const std::string name = stage.contains("behavior") ? to_text(stage["behavior"], "behavior") : usual;
    if (name != "Isolated" && name != "Contiguous")
        throw JsonError("pre_tokenizer '" + to_text(stage["type"], "type") + "' with behavior '" + name +
                        "' is not supported: Isolated and Contiguous are");
    return name;
}

void Reader::split(const LargeJson& stage) {
    const LargeJson& json = member(stage, "pattern");
    std::string pattern;
    if (json.is_object() && json.contains("Regex")) {
        pattern = to_text(json["Regex"], "Regex");
    } else {
        for (const char c : to_text(member(json, "String"), "String"))  // escaped, to match literally
            pattern += ((c & 0x80) == 0 && !std::isalnum(uint8_t(c)) ? "\\" : "") + std::string(1, c);
        if (pattern.empty()) throw JsonError("Split by an empty String");
    }
    // `invert` exchanges matches and what lies between them. With these behaviours both become pieces, so it changes
    // nothing.
    add(behaviour(stage, "") == "Contiguous" ? "(?:(?>" + pattern + "))+" : pattern);
}

}  // namespace

void read_pre_tokenizer(const LargeJson& json, ByteLevelModel& model) {
    Reader reader(model);
    if (!json.is_null()) reader.read(json);
    if (!reader.byte_level())
        throw JsonError("pre_tokenizer without ByteLevel is not supported: only byte-level BPE is");
    if (!model.pre_tokenizer.splits() && model.byte_pre_tokenizer.splits())
        throw JsonError("pre_tokenizer 'ByteLevel' without its pattern, and splits behind it, is not supported");
}

}  // namespace sluice
