#include "text/tiktoken.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <string_view>

#include "base/check.h"
#include "base/file.h"
#include "text/byte_level_encoder.h"

namespace sluice {
namespace {

constexpr size_t kLargestTiktokenFile = size_t{1} << 26;
constexpr int32_t kLargestTiktokenId = 1 << 26;

constexpr char kCl100k[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kQwen[] = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
                         R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kO200k[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

int base64_digit(char c) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t at = kDigits.find(c);
    return at == std::string_view::npos ? -1 : int(at);
}

// Empty: text is not base64.
std::string from_base64(std::string_view text) {
    if (text.size() % 4 != 0) return "";
    while (text.ends_with('=')) text.remove_suffix(1);
    std::string bytes;
    uint32_t held = 0, bits = 0;
    for (const char c : text) {
        const int digit = base64_digit(c);
        if (digit < 0) return "";
        held = held << 6 | uint32_t(digit);
        if ((bits += 6) >= 8) bytes += char(held >> (bits -= 8) & 0xFF);
    }
    return bytes;
}

struct Line {
    std::string bytes;  // empty: the line has another form
    int32_t id = -1;
};

Line parse_line(std::string_view text) {
    const size_t space = text.find(' ');
    if (space == std::string_view::npos || space == 0) return {};
    Line line;
    const std::string_view id = text.substr(space + 1);
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), line.id);
    if (error != std::errc() || end != id.data() + id.size() || line.id < 0 || line.id > kLargestTiktokenId) return {};
    line.bytes = from_base64(text.substr(0, space));
    return line;
}

std::string_view take_line(std::string_view& rest) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

ByteLevelModel read_ranks(std::string_view rest) {
    ByteLevelModel model;
    for (int64_t number = 1; !rest.empty(); number++) {
        const std::string_view text = take_line(rest);
        if (text.empty()) continue;
        const Line line = parse_line(text);
        const std::string where = "line " + std::to_string(number) + ": ";
        if (line.bytes.empty()) throw std::runtime_error(where + "no token in base64 and its id");
        if (size_t(line.id) < model.bytes.size() && !model.bytes[size_t(line.id)].empty())
            throw std::runtime_error(where + "id " + std::to_string(line.id) + " stands twice");
        if (model.pairs.find(line.bytes)) throw std::runtime_error(where + "a token stands twice");
        model.pairs.add_token(line.id, line.bytes);
        model.keep(line.id, line.bytes);
    }
    model.pairs.finish();
    model.pairs.merge_by_id();
    model.pairs.ignore_merges();
    return model;
}

const TiktokenFamily& family_of(const ByteLevelModel& model, const std::vector<TiktokenFamily>& families) {
    std::string known;
    for (const TiktokenFamily& family : families) {
        if (model.pairs.size() == size_t(family.ranks) && model.pairs.find("hello") == family.hello &&
            model.pairs.find(" world") == family.world)
            return family;
        known += (known.empty() ? "" : ", ") + family.name + " (" + std::to_string(family.ranks) + ")";
    }
    throw std::runtime_error("ranks of " + std::to_string(model.pairs.size()) +
                             " tokens that are none of the published ones, and how they split text does not stand in "
                             "the file: known are " +
                             known + "; of others give the tokenizer.json");
}

}  // namespace

const std::vector<TiktokenFamily>& tiktoken_families() {
    static const std::vector<TiktokenFamily> families{
        {"r50k_base", 50256, 31373, 995, kGpt2Pattern, {{"<|endoftext|>", 50256}}, 50257},
        {"p50k_base", 50280, 31373, 995, kGpt2Pattern, {{"<|endoftext|>", 50256}}, 50281},
        {"cl100k_base",
         100256,
         15339,
         1917,
         kCl100k,
         {{"<|endoftext|>", 100257},
          {"<|fim_prefix|>", 100258},
          {"<|fim_middle|>", 100259},
          {"<|fim_suffix|>", 100260},
          {"<|endofprompt|>", 100276}},
         100277},
        {"o200k_base", 199998, 24912, 2375, kO200k, {{"<|endoftext|>", 199999}, {"<|endofprompt|>", 200018}}, 200019},
        {"Llama 3",
         128000,
         15339,
         1917,
         kCl100k,
         {{"<|begin_of_text|>", 128000},
          {"<|end_of_text|>", 128001},
          {"<|start_header_id|>", 128006},
          {"<|end_header_id|>", 128007},
          {"<|eot_id|>", 128009}},
         128256},
        {"Qwen",
         151643,
         14990,
         1879,
         kQwen,
         {{"<|endoftext|>", 151643}, {"<|im_start|>", 151644}, {"<|im_end|>", 151645}},
         151851,
         true},
    };
    return families;
}

bool looks_like_tiktoken(const std::string& text) {
    std::string_view rest = text;
    return !parse_line(take_line(rest)).bytes.empty();
}

std::unique_ptr<Tokenizer> open_tiktoken(const std::string& path, const std::string& delimiter,
                                         const std::vector<TiktokenFamily>& families) {
    const std::string text = read_file(path, int(Exit::data), kLargestTiktokenFile, Links::follow);
    try {
        ByteLevelModel model = read_ranks(text);
        const TiktokenFamily& family = family_of(model, families);
        model.pre_tokenizer.add_stage(Pattern(family.pattern));
        model.nfc = family.nfc;
        model.special = family.special;
        model.bytes.resize(size_t(family.vocab));
        return std::make_unique<ByteLevelEncoder>(std::move(model), delimiter);
    } catch (const std::runtime_error& e) { fail(Exit::data, path + ": " + e.what()); }
}

}  // namespace sluice
