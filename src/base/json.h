// Strict JSON, for files that may be damaged or hostile: duplicate keys, trailing bytes and deep nesting are errors,
// and an integer must be written as one. Errors: JsonError, without the file's name.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

extern template class nlohmann::basic_json<nlohmann::ordered_map>;  // compiled once, in json_library.cpp

namespace sluice {

using Json = nlohmann::ordered_json;

struct JsonError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

Json parse_json(const std::string& text);
Json json_or_null(const std::string& text);  // null where the text is no JSON
// For objects with many keys: lookup is fast, the order of keys is lost.
using LargeJson = nlohmann::json;
LargeJson parse_large_json(const std::string& text);

// A member that must be present.
template <class J>
const J& member(const J& object, const char* key) {
    if (!object.is_object() || !object.contains(key)) throw JsonError(std::string("no '") + key + "'");
    return object[key];
}
// Whether a member is present and true.
template <class J>
bool true_in(const J& object, const char* key) {
    return object.contains(key) && object[key].is_boolean() && object[key].template get<bool>();
}
// An integer of 0 or more, written without fraction or exponent. what: its name, for the error.
template <class J>
int64_t to_integer(const J& value, const char* what) {
    if (!value.is_number_unsigned() || value.template get<uint64_t>() > uint64_t(INT64_MAX))
        throw JsonError(std::string("'") + what + "' is not a whole number");
    return value.template get<int64_t>();
}
// A string. what: its name, for the error.
template <class J>
std::string to_text(const J& value, const char* what) {
    if (!value.is_string()) throw JsonError(std::string("'") + what + "' is not a string");
    return value.template get<std::string>();
}

}  // namespace sluice
