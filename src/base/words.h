// Names of enum values in configs, declared once beside their enum:
//     template <> struct Words<Color> { static constexpr std::pair<const char*, Color> all[] = {{"red", Color::red}};
//     };
#pragma once
#include <string>
#include <utility>

namespace sluice {

template <class E>
struct Words;

template <class E>
concept Worded = requires {
    Words<E>::all;
};

template <Worded E>
const char* to_word(E value) {
    for (auto& [word, e] : Words<E>::all)
        if (e == value) return word;
    return "?";
}

template <Worded E>
bool from_word(const std::string& word, E& value) {
    for (auto& [w, e] : Words<E>::all)
        if (word == w) return value = e, true;
    return false;
}

// "sigmoid, silu, ...", for error messages.
template <Worded E>
std::string all_words() {
    std::string list;
    for (auto& [word, e] : Words<E>::all) list += (list.empty() ? "" : ", ") + std::string(word);
    return list;
}

}  // namespace sluice
