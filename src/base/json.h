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
const Json& member(const Json& object, const char* key);   // of an object, present
int64_t to_integer(const Json& value, const char* what);   // 0 or more, written as an integer
std::string to_text(const Json& value, const char* what);  // a string

}  // namespace sluice
