#include "config/per_layer.h"

#include <algorithm>
#include <charconv>

#include "config/yaml.h"

namespace sluice {
namespace {

// In decimal digits, without leading zeros.
bool read_layer(const std::string& text, int64_t& layer) {
    if (text.empty() || text[0] == '-' || (text[0] == '0' && text.size() > 1)) return false;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), layer);
    return error == std::errc() && stop == text.data() + text.size();
}

}  // namespace

std::string range_key(const LayerRange& range) {
    const std::string first = std::to_string(range.first);
    return range.last == range.first ? first : first + "-" + std::to_string(range.last);
}

bool read_range(const std::string& key, LayerRange& range) {
    const size_t dash = std::min(key.find('-'), key.size());
    if (!read_layer(key.substr(0, dash), range.first)) return false;
    range.last = range.first;
    return dash == key.size() || (read_layer(key.substr(dash + 1), range.last) && range.first <= range.last);
}

bool meant_as_range(const std::string& key) {
    return !key.empty() && ((key[0] >= '0' && key[0] <= '9') || key[0] == '-');
}

bool holds_ranges(const Node& map) {
    return map.kind == Node::Kind::map && std::any_of(map.children.begin(), map.children.end(),
                                                      [](const Node& child) { return meant_as_range(child.key); });
}

}  // namespace sluice
