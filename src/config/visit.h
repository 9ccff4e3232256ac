// What the visitors of specs share: which fields are specs themselves, how paths are spelled, and a walk.
#pragma once
#include <string>

#include "config/specs.h"

namespace sluice {

template <class T>
concept Spec = requires(T t) {
    t.fields([](const char*, auto&, const char*, const Attributes&) {});
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
    spec.fields([&](const char* key, auto&, const char*, const Attributes&) { keys.push_back(key); });
    return keys;
}

// Visits every section and key that a config can have: visit(path, field, help, attributes). A list comes before the
// keys of its elements, whose index is N.
template <Spec S, class Visit>
void walk_keys(S&& spec, const std::string& path, const Visit& visit) {
    spec.fields([&](const char* key, auto& field, const char* help, const Attributes& attributes) {
        using Field = std::decay_t<decltype(field)>;
        const std::string at = join(path, key);
        visit(at, field, help, attributes);
        if constexpr (Spec<Field>)
            walk_keys(field, at, visit);
        else if constexpr (requires { requires Spec<typename Field::value_type>; })
            walk_keys(typename Field::value_type{}, join(at, "N"), visit);
    });
}

}  // namespace sluice
