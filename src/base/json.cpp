#include "base/json.h"

#include <set>
#include <vector>

namespace sluice {
namespace {

constexpr size_t kDeepest = 64;

// Watches the parser: the library itself keeps the last of two equal keys.
class Strict {
 public:
    bool operator()(int depth, Json::parse_event_t event, Json& value) {
        if (size_t(depth) > kDeepest) throw JsonError("JSON nested too deeply");
        if (event == Json::parse_event_t::object_start) keys_.emplace_back();
        if (event == Json::parse_event_t::object_end) keys_.pop_back();
        if (event == Json::parse_event_t::key && !keys_.back().insert(value.get<std::string>()).second)
            throw JsonError("JSON key '" + value.get<std::string>() + "' stands twice");
        return true;
    }

 private:
    std::vector<std::set<std::string>> keys_;
};

}  // namespace

Json parse_json(const std::string& text) {
    if (text.find('\0') != std::string::npos) throw JsonError("a NUL byte in JSON");
    Strict strict;
    try {
        return Json::parse(
            text, [&](int depth, Json::parse_event_t event, Json& value) { return strict(depth, event, value); });
    } catch (const Json::exception& e) { throw JsonError(std::string("not JSON: ") + e.what()); }
}

const Json& member(const Json& object, const char* key) {
    if (!object.is_object() || !object.contains(key)) throw JsonError(std::string("no '") + key + "'");
    return object[key];
}

int64_t to_integer(const Json& value, const char* what) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > uint64_t(INT64_MAX))
        throw JsonError(std::string("'") + what + "' is not a whole number");
    return value.get<int64_t>();
}

std::string to_text(const Json& value, const char* what) {
    if (!value.is_string()) throw JsonError(std::string("'") + what + "' is not a string");
    return value.get<std::string>();
}

}  // namespace sluice
