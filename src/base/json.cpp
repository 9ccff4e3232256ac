#include "base/json.h"

#include <unordered_set>
#include <vector>

namespace sluice {
namespace {

constexpr size_t kDeepest = 64;  // levels of nesting

// Callback of the parser that refuses deep nesting and duplicate keys, of which the library would keep the last.
template <class J>
class Strict {
 public:
    bool operator()(int depth, typename J::parse_event_t event, J& value) {
        using Event = typename J::parse_event_t;
        if (size_t(depth) > kDeepest) throw JsonError("JSON nested too deeply");
        if (event == Event::object_start) keys_.emplace_back();
        if (event == Event::object_end) keys_.pop_back();
        if (event == Event::key && !keys_.back().insert(value.template get<std::string>()).second)
            throw JsonError("JSON key '" + value.template get<std::string>() + "' stands twice");
        return true;
    }

 private:
    std::vector<std::unordered_set<std::string>> keys_;  // of the open objects, the innermost last
};

// The library's message quotes all that it read of a value, however long, and bytes that do not print.
std::string shortened(std::string what) {
    constexpr std::string_view kRead = "last read: '";
    constexpr size_t kMost = 60;
    const size_t read = what.find(kRead);
    if (read != std::string::npos && what.size() > read + kRead.size() + kMost)
        what.replace(read + kRead.size(), what.size() - read - kRead.size() - kMost, "...");
    for (char& c : what)
        if (c < ' ' || c == 127) c = '?';  // bytes beyond ASCII too: they are negative
    return what;
}

template <class J>
J parse(const std::string& text) {
    if (text.find('\0') != std::string::npos) throw JsonError("a NUL byte in JSON");
    Strict<J> strict;
    try {
        return J::parse(
            text, [&](int depth, typename J::parse_event_t event, J& value) { return strict(depth, event, value); });
    } catch (const typename J::exception& e) {
        const std::string what = e.what();  // "[json.exception.parse_error.101] parse error at line ..."
        const size_t name = what.find("] ");
        throw JsonError("not JSON: " + shortened(name == std::string::npos ? what : what.substr(name + 2)));
    }
}

}  // namespace

Json parse_json(const std::string& text) { return parse<Json>(text); }
Json json_or_null(const std::string& text) {
    try {
        return parse_json(text);
    } catch (const JsonError&) { return nullptr; }
}
LargeJson parse_large_json(const std::string& text) { return parse<LargeJson>(text); }

}  // namespace sluice
