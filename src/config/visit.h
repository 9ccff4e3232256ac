// What the visitors of specs share: which fields are specs themselves, and how paths are spelled.
#pragma once
#include <string>

#include "config/specs.h"

namespace sluice {

template <class T>
concept Spec = requires(T t) {
    t.fields([](const char*, auto&, const char*, Range = {}) {});
};

inline std::string join(const std::string& path, const std::string& key) {
    return path.empty() ? key : path + "." + key;
}
inline std::string join(const std::string& path, size_t index) { return join(path, std::to_string(index)); }

// "0-11", or "12" for a single layer.
inline std::string range_key(const GateMap::Range& range) {
    const std::string first = std::to_string(range.first);
    return range.last == range.first ? first : first + "-" + std::to_string(range.last);
}

template <Spec S>
std::vector<std::string> keys_of(S& spec) {
    std::vector<std::string> keys;
    spec.fields([&](const char* key, auto&, const char*, Range = {}) { keys.push_back(key); });
    return keys;
}

}  // namespace sluice
