// Shared by the visitors of specs: which fields are specs, how paths are spelled, and a walk over all keys.
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

// Calls visit(value, path) for the one value of all layers, or for that of each range.
template <class T, class Visit>
void each_value(const PerLayer<T>& layers, const std::string& path, const Visit& visit) {
    if (!layers.per_layer) return visit(layers.all, path);
    for (auto& range : layers.ranges) visit(range.value, join(path, range_key(range)));
}

template <Spec S>
std::vector<std::string> keys_of(S& spec) {
    std::vector<std::string> keys;
    spec.fields([&](const char* key, auto&, const char*, const Attributes&) { keys.push_back(key); });
    return keys;
}

template <Spec S, class Visit>
void walk_keys(S&& spec, const std::string& path, const Visit& visit);

// The keys below a field: of a section, of an element of a list, whose index is N, or of the one value of all layers.
template <class Field, class Visit>
void walk_below(const Field& field, const std::string& path, const Visit& visit) {
    if constexpr (Spec<Field>)
        walk_keys(Field(field), path, visit);
    else if constexpr (requires { field.per_layer; })
        walk_below(field.all, path, visit);
    else if constexpr (requires { requires Spec<typename Field::value_type>; })
        walk_keys(typename Field::value_type{}, join(path, "N"), visit);
}

// Visits every section and key that a config can have: visit(path, field, help, attributes). A section, a list or a map
// of layer ranges comes before the keys below it.
template <Spec S, class Visit>
void walk_keys(S&& spec, const std::string& path, const Visit& visit) {
    spec.fields([&](const char* key, auto& field, const char* help, const Attributes& attributes) {
        const std::string at = join(path, key);
        visit(at, field, help, attributes);
        walk_below(field, at, visit);
    });
}

}  // namespace sluice
