// Every key with type, default and help, from the same fields that are loaded.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "config/load.h"
#include "config/scalar.h"
#include "config/visit.h"

namespace sluice {
namespace {

struct Key {
    std::string path, type, value, help;
};

struct Lister {
    std::vector<Key>& keys;
    std::string path;

    template <class T>
    void operator()(const char* key, T& field, const char* help) const {
        if constexpr (Spec<T>)
            field.fields(Lister{keys, join(path, key)});
        else
            add(key, type_name(field), scalar_text(write_scalar(field)), help);
    }
    template <class T>
    void operator()(const char* key, std::optional<T>&, const char* help) const {
        add(key, type_name(T{}), "null", help);
    }
    template <class T>
    void operator()(const char* key, std::vector<T>&, const char* help) const {
        list(key, "a list", help, T{});
    }
    void operator()(const char* key, GateMap&, const char* help) const {
        list(key, "a list, or a map of lists", help, GateSpec{});
    }

 private:
    // The help says of a key that is required, or whose default hangs on another key.
    void add(const char* key, const std::string& type, const std::string& value, const std::string& help) const {
        const bool said = help.find("(required") != std::string::npos || help.find("(default:") != std::string::npos;
        keys.push_back({join(path, key), type, said ? "-" : value, help});
    }
    template <class T>
    void list(const char* key, const std::string& type, const char* help, T element) const {
        add(key, type, "[]", help);
        element.fields(Lister{keys, join(join(path, key), "N")});
    }
};

std::vector<Key> all_keys() {
    std::vector<Key> keys{{"base", type_name(std::string()), "-", "another config that this one is laid over"}};
    Config config;
    config.fields(Lister{keys, ""});
    return keys;
}

}  // namespace

std::string reference() {
    const std::vector<Key> keys = all_keys();
    size_t path = 0, value = 0;
    for (auto& key : keys) path = std::max(path, key.path.size()), value = std::max(value, key.value.size());
    std::string text;
    for (auto& key : keys)
        text += key.path + std::string(path + 2 - key.path.size(), ' ') + key.value +
                std::string(value + 2 - key.value.size(), ' ') + key.help + "; " + key.type + "\n";
    return text;
}

std::string reference_json() {
    auto object = nlohmann::ordered_json::object();
    for (auto& key : all_keys()) object[key.path] = {{"type", key.type}, {"default", key.value}, {"help", key.help}};
    return object.dump();
}

}  // namespace sluice
