#include "data_tools/byte_level_bpe.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <queue>
#include <string_view>
#include <unordered_map>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/yaml.h"
#include "data_tools/pattern.h"

namespace sluice {
namespace {

constexpr size_t kLargestFile = size_t{1} << 26, kLargestCache = size_t{1} << 16, kLongestCached = 64;
constexpr int64_t kLargestId = INT32_MAX - 1;
constexpr char kGpt2Pattern[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// How a vocabulary writes bytes: those that print stand for themselves, the others for code points from 256 on.
std::unordered_map<int32_t, uint8_t> byte_of_code_points() {
    std::unordered_map<int32_t, uint8_t> bytes;
    int32_t next = 256;
    for (int32_t b = 0; b < 256; b++) {
        const bool prints = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        bytes[prints ? b : next++] = uint8_t(b);
    }
    return bytes;
}

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

std::string nfc(std::string_view text) {
    utf8proc_uint8_t* out = nullptr;
    const auto options = utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    const auto n = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), utf8proc_ssize_t(text.size()),
                                &out, options);
    if (n < 0) fail(Exit::data, std::string("cannot be normalised: ") + utf8proc_errmsg(n));
    std::string normalised(reinterpret_cast<char*>(out), size_t(n));
    std::free(out);
    return normalised;
}

struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
using Ids = std::unordered_map<std::string, int32_t, TextHash, std::equal_to<>>;

struct Merge {
    int32_t rank, id;
};
uint64_t pair_key(int32_t left, int32_t right) { return uint64_t(uint32_t(left)) << 32 | uint32_t(right); }

class ByteLevelBpe : public Tokenizer {
 public:
    ByteLevelBpe(const std::string& path, const std::string& delimiter) : path_(path) {
        const std::string text = read_file(path, int(Exit::data), kLargestFile, Links::follow);
        try {
            const LargeJson json = parse_large_json(text);
            read_model(member(json, "model"));
            read_added(json);
            read_normaliser(json);
            read_pre_tokenizer(member(json, "pre_tokenizer"));
        } catch (const std::runtime_error& e) { refuse(e.what()); }  // a JsonError, or a pattern that fails
        choose_delimiter(delimiter);
    }
    std::vector<int32_t> encode(std::string_view text) const override;
    std::string decode(const std::vector<int32_t>& ids) const override {
        std::string text;
        for (const int32_t id : ids)
            if (id >= 0 && size_t(id) < bytes_.size()) text += bytes_[size_t(id)];
        return text;
    }
    int64_t vocab() const override { return int64_t(bytes_.size()); }
    int32_t delimiter() const override { return delimiter_; }

 private:
    [[noreturn]] void refuse(const std::string& why) const { fail(Exit::data, path_ + ": " + why); }
    void read_model(const LargeJson& model);
    void read_merge(const LargeJson& merge, const std::unordered_map<int32_t, uint8_t>& alphabet);
    void read_added(const LargeJson& json);
    void read_normaliser(const LargeJson& json);
    void read_pre_tokenizer(const LargeJson& stage);
    void choose_delimiter(const std::string& delimiter);
    std::string to_bytes(const std::string& token, const std::unordered_map<int32_t, uint8_t>& alphabet) const;
    void keep(int32_t id, const std::string& bytes) {
        if (size_t(id) >= bytes_.size()) bytes_.resize(size_t(id) + 1);
        bytes_[size_t(id)] = bytes;
    }
    int32_t id_of(const LargeJson& value) const {
        const int64_t id = to_integer(value, "id");
        if (id > kLargestId || id > int64_t(4 * kLargestFile)) throw JsonError("an id of " + std::to_string(id));
        return int32_t(id);
    }

    void encode_plain(std::string_view text, std::vector<int32_t>& ids) const;
    void split(std::string_view text, size_t stage, std::vector<int32_t>& ids) const;
    void add_word(std::string_view word, std::vector<int32_t>& ids) const;
    void merge_word(std::string_view word, std::vector<int32_t>& ids) const;

    std::string path_;
    Ids ids_;                         // of the model's tokens, by their bytes
    std::vector<std::string> bytes_;  // by id; of special tokens none
    std::array<int32_t, 256> byte_ids_{};
    std::unordered_map<uint64_t, Merge> merges_;
    Ids special_;
    std::vector<std::pair<std::string, int32_t>> added_;  // not special; the longest first
    std::array<bool, 256> begins_added_{};
    std::vector<Pattern> patterns_;
    bool ignore_merges_ = false, nfc_ = false;
    int32_t delimiter_ = -1;
    uint64_t serial_ = 0;  // tells this tokenizer's cache from another's
};

// ---------------------------------------------------------------- reading
std::string text_or(const LargeJson& object, const char* key) {
    return object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : "";
}
bool true_in(const LargeJson& object, const char* key) {
    return object.contains(key) && object[key].is_boolean() && object[key].get<bool>();
}

std::string ByteLevelBpe::to_bytes(const std::string& token,
                                   const std::unordered_map<int32_t, uint8_t>& alphabet) const {
    std::string bytes;
    for (size_t at = 0; at < token.size();) {
        utf8proc_int32_t code = -1;
        const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(token.data()) + at,
                                        utf8proc_ssize_t(token.size() - at), &code);
        const auto byte = alphabet.find(code);
        if (n < 1 || byte == alphabet.end()) throw JsonError("token '" + token + "' is not made of bytes");
        bytes += char(byte->second);
        at += size_t(n);
    }
    return bytes;
}

void ByteLevelBpe::read_model(const LargeJson& model) {
    if (to_text(member(model, "type"), "type") != "BPE")
        throw JsonError("model '" + text_or(model, "type") + "', not BPE");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
        if (!text_or(model, key).empty()) throw JsonError(std::string(key) + " is not supported");
    if (true_in(model, "byte_fallback")) throw JsonError("byte_fallback is not supported: only byte-level BPE is");
    ignore_merges_ = true_in(model, "ignore_merges");
    const auto alphabet = byte_of_code_points();
    if (!member(model, "vocab").is_object()) throw JsonError("'vocab' is not an object");
    for (const auto& [token, value] : model["vocab"].items()) {
        const int32_t id = id_of(value);
        const std::string bytes = to_bytes(token, alphabet);
        if (size_t(id) < bytes_.size() && !bytes_[size_t(id)].empty())
            throw JsonError("id " + std::to_string(id) + " stands twice");
        ids_[bytes] = id;
        keep(id, bytes);
    }
    for (int b = 0; b < 256; b++) {
        const auto it = ids_.find(std::string(1, char(b)));
        if (it == ids_.end()) throw JsonError("no token for byte " + std::to_string(b) + ": not byte-level BPE");
        byte_ids_[size_t(b)] = it->second;
    }
    if (!member(model, "merges").is_array()) throw JsonError("'merges' is not a list");
    for (const LargeJson& merge : model["merges"]) read_merge(merge, alphabet);
    static std::atomic<uint64_t> serials{0};
    serial_ = ++serials;
}

// "a b", or ["a", "b"].
void ByteLevelBpe::read_merge(const LargeJson& merge, const std::unordered_map<int32_t, uint8_t>& alphabet) {
    std::string parts[2];
    if (merge.is_string()) {
        const std::string text = merge.get<std::string>();
        const size_t space = text.find(' ');
        if (space == std::string::npos) throw JsonError("merge '" + text + "' has no space");
        parts[0] = text.substr(0, space);
        parts[1] = text.substr(space + 1);
    } else if (merge.is_array() && merge.size() == 2) {
        for (size_t i = 0; i < 2; i++) parts[i] = to_text(merge[i], "merge");
    } else {
        throw JsonError("a merge is no pair");
    }
    int32_t ids[2];
    std::string whole;
    for (size_t i = 0; i < 2; i++) {
        const std::string bytes = to_bytes(parts[i], alphabet);
        const auto it = ids_.find(bytes);
        if (it == ids_.end()) throw JsonError("merge of '" + parts[i] + "', which is no token");
        ids[i] = it->second;
        whole += bytes;
    }
    const auto result = ids_.find(whole);
    if (result == ids_.end()) throw JsonError("merge to '" + parts[0] + parts[1] + "', which is no token");
    merges_.emplace(pair_key(ids[0], ids[1]), Merge{int32_t(merges_.size()), result->second});
}

void ByteLevelBpe::read_added(const LargeJson& json) {
    if (!json.contains("added_tokens")) return;
    for (const LargeJson& token : json["added_tokens"]) {
        const int32_t id = id_of(member(token, "id"));
        const std::string content = to_text(member(token, "content"), "content");
        if (content.empty()) throw JsonError("an added token without text");
        const bool special = true_in(token, "special");
        keep(id, special ? "" : content);
        if (special) {
            special_[content] = id;
            continue;
        }
        for (const char* key : {"lstrip", "rstrip", "single_word"})
            if (true_in(token, key)) throw JsonError("added token '" + content + "': " + key + " is not supported");
        added_.emplace_back(content, id);
        begins_added_[uint8_t(content[0])] = true;
    }
    std::stable_sort(added_.begin(), added_.end(), [](auto& a, auto& b) { return a.first.size() > b.first.size(); });
}

void ByteLevelBpe::read_normaliser(const LargeJson& json) {
    if (!json.contains("normalizer") || json["normalizer"].is_null()) return;
    const std::string type = to_text(member(json["normalizer"], "type"), "type");
    if (type != "NFC") throw JsonError("normalizer '" + type + "' is not supported: only NFC is");
    nfc_ = true;
}

void ByteLevelBpe::read_pre_tokenizer(const LargeJson& stage) {
    const std::string type = to_text(member(stage, "type"), "type");
    if (type == "Sequence") {
        for (const LargeJson& inner : member(stage, "pretokenizers")) read_pre_tokenizer(inner);
    } else if (type == "ByteLevel") {
        if (true_in(stage, "add_prefix_space")) throw JsonError("add_prefix_space is not supported");
        if (!stage.contains("use_regex") || true_in(stage, "use_regex")) patterns_.emplace_back(kGpt2Pattern);
    } else if (type == "Split") {
        const std::string behaviour = to_text(member(stage, "behavior"), "behavior");
        if (behaviour != "Isolated" || true_in(stage, "invert") || !member(stage, "pattern").contains("Regex"))
            throw JsonError("Split is supported with a Regex, behavior Isolated, and not inverted");
        patterns_.emplace_back(to_text(stage["pattern"]["Regex"], "Regex"));
    } else {
        throw JsonError("pre_tokenizer '" + type + "' is not supported: ByteLevel, Split and Sequence are");
    }
}

void ByteLevelBpe::choose_delimiter(const std::string& wanted) {
    const std::vector<std::string> usual{"<|endoftext|>", "<|begin_of_text|>", "<s>", "</s>"};
    for (const auto& name : wanted.empty() ? usual : std::vector<std::string>{wanted})
        if (const auto it = special_.find(name); it != special_.end()) {
            delimiter_ = it->second;
            return;
        }
    std::string known;
    for (const auto& [name, id] : special_) known += (known.empty() ? "" : ", ") + name;
    refuse("no special token " + (wanted.empty() ? "that usually begins documents" : "'" + wanted + "'") +
           ": choose a delimiter among " + (known.empty() ? "its special tokens (it has none)" : known));
}

// ---------------------------------------------------------------- encoding
std::vector<int32_t> ByteLevelBpe::encode(std::string_view text) const {
    if (!is_ascii(text) && !valid_utf8(std::string(text))) fail(Exit::data, "the text is not valid UTF-8");
    std::vector<int32_t> ids;
    ids.reserve(text.size() / 3);
    size_t plain = 0;
    for (size_t at = 0; !added_.empty() && at < text.size(); at++) {
        if (!begins_added_[uint8_t(text[at])]) continue;
        const auto found = std::find_if(added_.begin(), added_.end(), [&](const auto& token) {
            return text.compare(at, token.first.size(), token.first) == 0;
        });
        if (found == added_.end()) continue;
        encode_plain(text.substr(plain, at - plain), ids);
        ids.push_back(found->second);
        plain = at + found->first.size();
        at = plain - 1;
    }
    encode_plain(text.substr(plain), ids);
    return ids;
}

void ByteLevelBpe::encode_plain(std::string_view text, std::vector<int32_t>& ids) const {
    if (nfc_ && !is_ascii(text))
        split(nfc(text), 0, ids);
    else
        split(text, 0, ids);
}

// What the pattern of a stage matches, and what lies between, are pieces for the next one.
void ByteLevelBpe::split(std::string_view text, size_t stage, std::vector<int32_t>& ids) const {
    if (text.empty()) return;
    if (stage == patterns_.size()) return add_word(text, ids);
    size_t from = 0;
    patterns_[stage].each_match(text, [&](size_t begin, size_t end) {
        split(text.substr(from, begin - from), stage + 1, ids);
        split(text.substr(begin, end - begin), stage + 1, ids);
        from = end;
    });
    split(text.substr(from), stage + 1, ids);
}

// Words come again and again: a thread keeps what it merged.
void ByteLevelBpe::add_word(std::string_view word, std::vector<int32_t>& ids) const {
    struct Cache {
        uint64_t serial = 0;
        std::unordered_map<std::string, std::vector<int32_t>, TextHash, std::equal_to<>> words;
    };
    thread_local Cache cache;
    if (word.size() > kLongestCached) return merge_word(word, ids);
    if (cache.serial != serial_ || cache.words.size() >= kLargestCache) {
        cache.words.clear();
        cache.serial = serial_;
    }
    auto it = cache.words.find(word);
    if (it == cache.words.end()) {
        std::vector<int32_t> merged;
        merge_word(word, merged);
        it = cache.words.emplace(std::string(word), std::move(merged)).first;
    }
    ids.insert(ids.end(), it->second.begin(), it->second.end());
}

// Of all neighbours that can merge, those of the lowest rank do, the leftmost first. Symbols are a list through which
// merged ones are skipped; the queue holds candidates, some of them out of date.
void ByteLevelBpe::merge_word(std::string_view word, std::vector<int32_t>& ids) const {
    if (ignore_merges_)
        if (const auto whole = ids_.find(word); whole != ids_.end()) return ids.push_back(whole->second);
    struct Symbol {
        int32_t id, previous, next;
    };
    struct Candidate {
        int32_t rank, at, left, right, result;
        bool operator>(const Candidate& other) const { return std::pair(rank, at) > std::pair(other.rank, other.at); }
    };
    const auto n = int32_t(word.size());
    std::vector<Symbol> symbols(word.size());
    for (int32_t i = 0; i < n; i++)
        symbols[size_t(i)] = {byte_ids_[uint8_t(word[size_t(i)])], i - 1, i + 1 < n ? i + 1 : -1};
    std::vector<Candidate> queue;
    const auto offer = [&](int32_t at) {
        const int32_t next = at < 0 ? -1 : symbols[size_t(at)].next;
        if (next < 0) return;
        const int32_t left = symbols[size_t(at)].id, right = symbols[size_t(next)].id;
        const auto merge = merges_.find(pair_key(left, right));
        if (merge == merges_.end()) return;
        queue.push_back({merge->second.rank, at, left, right, merge->second.id});
        std::push_heap(queue.begin(), queue.end(), std::greater<>());
    };
    for (int32_t i = 0; i + 1 < n; i++) offer(i);
    while (!queue.empty()) {
        std::pop_heap(queue.begin(), queue.end(), std::greater<>());
        const Candidate c = queue.back();
        queue.pop_back();
        Symbol& symbol = symbols[size_t(c.at)];
        if (symbol.id != c.left || symbol.next < 0 || symbols[size_t(symbol.next)].id != c.right) continue;
        Symbol& gone = symbols[size_t(symbol.next)];
        gone.id = -1;
        symbol.id = c.result;
        symbol.next = gone.next;
        if (symbol.next >= 0) symbols[size_t(symbol.next)].previous = c.at;
        offer(symbol.previous);
        offer(c.at);
    }
    for (int32_t i = 0; i >= 0 && n > 0; i = symbols[size_t(i)].next) ids.push_back(symbols[size_t(i)].id);
}

}  // namespace

std::unique_ptr<Tokenizer> open_byte_level_bpe(const std::string& path, const std::string& delimiter) {
    return std::make_unique<ByteLevelBpe>(path, delimiter);
}

}  // namespace sluice
