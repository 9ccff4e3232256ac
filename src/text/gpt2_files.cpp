#include "text/gpt2_files.h"

#include <stdexcept>
#include <string_view>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "text/byte_alphabet.h"
#include "text/byte_level_encoder.h"

namespace sluice {
namespace {

constexpr size_t kLargestGpt2File = size_t{1} << 26;
constexpr int64_t kLargestGpt2Id = 1 << 26;
constexpr char kEndOfText[] = "<|endoftext|>";

void read_vocabulary(const std::string& text, ByteLevelModel& model) {
    const LargeJson json = parse_large_json(text);
    if (!json.is_object()) throw JsonError("not a vocabulary: no object of tokens and their ids");
    for (const auto& [token, value] : json.items()) {
        const int64_t id = to_integer(value, token.c_str());
        if (id > kLargestGpt2Id) throw JsonError("an id of " + std::to_string(id));
        if (token == kEndOfText) {
            model.special.emplace_back(token, int32_t(id));
            if (size_t(id) >= model.bytes.size()) model.keep(int32_t(id), "");
            continue;
        }
        const std::string bytes = from_byte_alphabet(token);
        if (size_t(id) < model.bytes.size() && !model.bytes[size_t(id)].empty())
            throw JsonError("id " + std::to_string(id) + " stands twice");
        model.pairs.add_token(int32_t(id), bytes);
        model.keep(int32_t(id), bytes);
    }
    model.pairs.finish();
    for (const auto& [token, id] : model.special)
        if (!model.bytes[size_t(id)].empty()) throw JsonError("id " + std::to_string(id) + " stands twice");
}

void read_merges(std::string_view rest, ByteLevelModel& model) {
    for (int64_t number = 1; !rest.empty(); number++) {
        std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
        const std::string where = "line " + std::to_string(number) + ": ";
        const size_t space = line.find(' ');
        if (space == std::string_view::npos || space == 0 || line.find(' ', space + 1) != std::string_view::npos)
            throw std::runtime_error(where + "no two tokens with a space between");
        try {
            model.pairs.add_merge(from_byte_alphabet(line.substr(0, space)),
                                  from_byte_alphabet(line.substr(space + 1)));
        } catch (const std::runtime_error& e) { throw std::runtime_error(where + e.what()); }
    }
}

void refuse_other_kinds(const ByteLevelModel& model) {
    const std::vector<bool> made = model.pairs.made();
    for (size_t id = 0; id < model.bytes.size(); id++)
        if (!model.bytes[id].empty() && (id >= made.size() || !made[id]))
            throw std::runtime_error("token '" + model.bytes[id] +
                                     "' is made by no merge, so this is another kind of tokenizer than GPT-2's, whose "
                                     "pattern and special tokens do not stand here: give its tokenizer.json");
}

}  // namespace

std::unique_ptr<Tokenizer> open_gpt2_files(const std::filesystem::path& vocabulary, const std::filesystem::path& merges,
                                           const std::string& delimiter) {
    const std::filesystem::path* now = &vocabulary;
    try {
        ByteLevelModel model;
        read_vocabulary(read_file(vocabulary, int(Exit::data), kLargestGpt2File, Links::follow), model);
        const std::string text = read_file(merges, int(Exit::data), kLargestGpt2File, Links::follow);
        now = &merges;
        read_merges(text, model);
        now = &vocabulary;
        refuse_other_kinds(model);
        model.pre_tokenizer.add_stage(Pattern(kGpt2Pattern));
        return std::make_unique<ByteLevelEncoder>(std::move(model), delimiter);
    } catch (const Failure&) { throw; } catch (const std::runtime_error& e) {
        fail(Exit::data, now->string() + ": " + e.what());
    }
}

}  // namespace sluice
