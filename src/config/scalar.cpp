#include "config/scalar.h"

#include <charconv>
#include <cmath>

#include "base/format.h"
#include "base/number.h"

namespace sluice {
namespace {

Node scalar(const std::string& text, bool quoted) {
    Node node;
    node.kind = Node::Kind::scalar;
    node.text = text;
    node.quoted = quoted;
    return node;
}

bool is_plain(const Node& node) { return node.kind == Node::Kind::scalar && !node.quoted; }

}  // namespace

std::string mismatch(const Node& node, const std::string& kind) {
    switch (node.kind) {
        case Node::Kind::null:
            return "has no value: give " + kind;
        case Node::Kind::list:
            return "a list is not " + kind;
        case Node::Kind::map:
            return "a map is not " + kind;
        case Node::Kind::scalar:
            break;
    }
    return std::string(node.quoted ? "the text " : "") + in_quotes(node.text) + " is not " + kind;
}

std::string read_scalar(const Node& node, bool& value) {
    if (!is_plain(node) || (node.text != "true" && node.text != "false")) return mismatch(node, type_name(value));
    value = node.text == "true";
    return "";
}

std::string read_scalar(const Node& node, int64_t& value) {
    return is_plain(node) ? read_number(node.text, value) : mismatch(node, "an integer in decimal digits");
}

std::string read_scalar(const Node& node, double& value) {
    return is_plain(node) ? read_number(node.text, value) : mismatch(node, "a number");
}

std::string read_scalar(const Node& node, std::string& value) {
    if (node.kind != Node::Kind::scalar) return mismatch(node, type_name(value));
    value = node.text;
    return "";
}

Node write_scalar(bool value) { return scalar(value ? "true" : "false", false); }
Node write_scalar(int64_t value) { return scalar(std::to_string(value), false); }
// 1e-06 is text to readers of YAML 1.1, 1.0e-06 a number to all.
Node write_scalar(double value) {
    char digits[32];
    std::string text(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
    const size_t exponent = text.find('e');
    if (exponent != std::string::npos && text.find('.') == std::string::npos) text.insert(exponent, ".0");
    return scalar(text, false);
}
Node write_scalar(const std::string& value) { return scalar(value, true); }

std::string scalar_text(const Node& node) {
    if (node.kind == Node::Kind::null) return "null";
    return node.quoted ? yaml_string(node.text) : node.text;
}

std::string describe(const Range& range) {
    const auto text = [](double value) {
        if (value == std::floor(value) && std::abs(value) < 0x1p53) return std::to_string(int64_t(value));
        return write_scalar(value).text;
    };
    if (!std::isfinite(range.low)) return "";
    if (range.above_low) return "above " + text(range.low);
    if (!std::isfinite(range.high)) return text(range.low) + " or more";
    if (range.below_high) return text(range.low) + " or more, below " + text(range.high);
    return text(range.low) + " to " + text(range.high);
}

}  // namespace sluice
