// JSON from files that may be damaged or hostile: duplicate keys, trailing bytes and deep nesting are refused, integers
// are integers. Errors: JsonError, without the file's name.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace sluice {

using Json = nlohmann::ordered_json;

struct JsonError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

Json parse_json(const std::string& text);
// For objects of many keys: these are found fast, their order is lost.
using LargeJson = nlohmann::json;
LargeJson parse_large_json(const std::string& text);

// Of an object, present.
template <class J>
const J& member(const J& object, const char* key) {
    if (!object.is_object() || !object.contains(key)) throw JsonError(std::string("no '") + key + "'");
    return object[key];
}
// Of an object: present, and true.
template <class J>
bool true_in(const J& object, const char* key) {
    return object.contains(key) && object[key].is_boolean() && object[key].template get<bool>();
}
// 0 or more, written as an integer.
template <class J>
int64_t to_integer(const J& value, const char* what) {
    if (!value.is_number_unsigned() || value.template get<uint64_t>() > uint64_t(INT64_MAX))
        throw JsonError(std::string("'") + what + "' is not a whole number");
    return value.template get<int64_t>();
}
// A string.
template <class J>
std::string to_text(const J& value, const char* what) {
    if (!value.is_string()) throw JsonError(std::string("'") + what + "' is not a string");
    return value.template get<std::string>();
}

}  // namespace sluice
