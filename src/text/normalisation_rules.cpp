#include "text/normalisation_rules.h"

#include <cstring>
#include <stdexcept>

#include "base/utf8.h"

namespace sluice {
namespace {

// Fields of a unit of the double array.
constexpr uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
constexpr uint32_t label_of(uint32_t unit) { return unit & ((1u << 31) | 0xFF); }
constexpr bool has_leaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }

constexpr size_t kLongestRule = 1024, kMostNodes = size_t{1} << 24;  // larger rules are damaged ones

}  // namespace

// Layout: the size of the trie in bytes (uint32), the trie (uint32 units), and the replacements.
NormalisationRules::NormalisationRules(std::string_view compiled) {
    if (compiled.empty()) return;
    uint32_t bytes = 0;
    if (compiled.size() > sizeof bytes) std::memcpy(&bytes, compiled.data(), sizeof bytes);
    if (bytes < sizeof(uint32_t) || bytes % sizeof(uint32_t) != 0 || bytes > compiled.size() - sizeof bytes)
        throw std::runtime_error("damaged rules of normalisation");
    trie_.resize(bytes / sizeof(uint32_t));
    std::memcpy(trie_.data(), compiled.data() + sizeof bytes, bytes);
    replacements_ = compiled.substr(sizeof bytes + bytes);
    // Visit every string of the trie, depth first.
    struct Step {
        size_t node;
        int next;  // the next label to try
    };
    std::vector<Step> path{{0, 1}};
    std::string key;
    for (size_t nodes = 0; !path.empty();) {
        Step& step = path.back();
        if (step.next > 255) {
            path.pop_back();
            if (!key.empty()) key.pop_back();
            continue;
        }
        size_t node = step.node;
        const auto label = uint8_t(step.next++);
        if (!child(node, label)) continue;
        if (key.size() >= kLongestRule || ++nodes > kMostNodes)
            throw std::runtime_error("damaged rules of normalisation");
        key += char(label);
        if (ends(node)) add_key(key);
        path.push_back({node, 1});
    }
}

// In a double array the child of a node for `byte` is at node ^ offset ^ byte, and has that byte as its label.
bool NormalisationRules::child(size_t& node, uint8_t byte) const {
    const size_t to = node ^ offset_of(trie_[node]) ^ byte;
    if (to >= trie_.size() || label_of(trie_[to]) != byte) return false;
    node = to;
    return true;
}

bool NormalisationRules::ends(size_t node) const { return has_leaf(trie_[node]); }

void NormalisationRules::add_key(const std::string& key) {
    if (invalid_utf8(key) < key.size()) throw std::runtime_error("damaged rules of normalisation");
    for (size_t at = 1; at < key.size(); at++)
        if (begins_character(key[at])) later_.insert(character_at(key, at));
}

// The leaf of a node, at node ^ offset, holds where its replacement begins.
std::string_view NormalisationRules::replacement(size_t node) const {
    const size_t leaf = node ^ offset_of(trie_[node]);
    const size_t begin = leaf < trie_.size() ? trie_[leaf] & 0x7FFFFFFF : replacements_.size();
    const size_t end = begin < replacements_.size() ? replacements_.find('\0', begin) : replacements_.npos;
    return end == replacements_.npos ? std::string_view() : std::string_view(replacements_).substr(begin, end - begin);
}

NormalisationRules::Applied NormalisationRules::at(std::string_view text, size_t at) const {
    Applied longest;
    if (trie_.empty()) return longest;
    // Follow the trie along the text. A mismatch decides; at the end of the text a longer string is still possible.
    size_t node = 0;
    for (size_t end = at; end < text.size(); end++) {
        if (!child(node, uint8_t(text[end]))) return longest;
        if (ends(node)) longest = {end + 1 - at, replacement(node), true};
    }
    longest.certain = false;
    return longest;
}

}  // namespace sluice
