#include "text/normalisation_rules.h"

#include <algorithm>
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
    // All children, sorted by place_of_children() of their parents.
    struct Child {
        size_t place, node;
        bool operator<(const Child& other) const { return place < other.place; }
    };
    std::vector<Child> children;
    for (size_t node = 0; node < trie_.size(); node++)
        if (const uint32_t byte = label_of(trie_[node]); byte >= 1 && byte <= 255)
            children.push_back({node ^ byte, node});
    std::sort(children.begin(), children.end());
    const auto children_of = [&](size_t node) {
        return std::equal_range(children.begin(), children.end(), Child{place_of_children(node), 0});
    };
    // Visit every string of the trie, depth first.
    std::vector path{children_of(0)};  // at each depth the children that are still to be visited
    std::string key;
    for (size_t nodes = 0; !path.empty();) {
        auto& [next, end] = path.back();
        if (next == end) {
            path.pop_back();
            if (!key.empty()) key.pop_back();
            continue;
        }
        const size_t node = next++->node;
        if (key.size() >= kLongestRule || ++nodes > kMostNodes)
            throw std::runtime_error("damaged rules of normalisation");
        key += char(label_of(trie_[node]));
        if (ends(node)) add_key(key);
        path.push_back(children_of(node));
    }
}

size_t NormalisationRules::place_of_children(size_t node) const { return node ^ offset_of(trie_[node]); }

// A child has its byte as its label.
bool NormalisationRules::child(size_t& node, uint8_t byte) const {
    const size_t to = place_of_children(node) ^ byte;
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

// The leaf of a node, its child for byte 0, holds where its replacement begins.
std::string_view NormalisationRules::replacement(size_t node) const {
    const size_t leaf = place_of_children(node);
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
