// Names of enum values in configs, declared once beside their enum:
//     template <> struct EnumNames<Color> {
//         static constexpr std::pair<const char*, Color> all[] = {{"red", Color::red}};
//     };
#pragma once
#include <string>
#include <utility>

namespace sluice {

template <class E>
struct EnumNames;

template <class E>
concept NamedEnum = requires {
    EnumNames<E>::all;
};

template <NamedEnum E>
const char* enum_name(E value) {
    for (auto& [word, e] : EnumNames<E>::all)
        if (e == value) return word;
    return "?";
}

template <NamedEnum E>
bool enum_value(const std::string& word, E& value) {
    for (auto& [w, e] : EnumNames<E>::all)
        if (word == w) return value = e, true;
    return false;
}

// "sigmoid, silu, ...", for error messages.
template <NamedEnum E>
std::string all_enum_names() {
    std::string list;
    for (auto& [word, e] : EnumNames<E>::all) list += (list.empty() ? "" : ", ") + std::string(word);
    return list;
}

}  // namespace sluice
