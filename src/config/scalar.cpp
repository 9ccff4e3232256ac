#include "config/scalar.h"

#include <charconv>
#include <cmath>

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

// 010 is ten to some readers of YAML and eight to others.
bool has_leading_zero(const std::string& text) {
    const size_t at = text.starts_with('-') ? 1 : 0;
    return text.size() > at + 1 && text[at] == '0' && text[at + 1] >= '0' && text[at + 1] <= '9';
}

// 524_288 -> 524288, 2e9 -> 2000000000; other texts as they are.
std::string plain_integer(const std::string& text) {
    const auto digits = [](const std::string& part) {
        return !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
    };
    const size_t exponent = text.find('e');
    if (exponent != std::string::npos) {
        const std::string zeros = text.substr(exponent + 1);
        const bool fits =
            digits(text.substr(0, exponent)) && digits(zeros) && zeros.size() <= 2 && std::stoi(zeros) <= 18;
        return fits ? text.substr(0, exponent) + std::string(size_t(std::stoi(zeros)), '0') : text;
    }
    std::string plain;
    for (size_t i = 0; i < text.size(); i++) {
        const size_t right = text.size() - 1 - i;  // digits and marks after this one
        if (text[i] != '_')
            plain += text[i];
        else if (right % 4 != 3 || i == 0 || !digits(text.substr(i + 1, 3)))
            return text;
    }
    return plain.size() == text.size() || (digits(plain) && text.find('_') <= 3) ? plain : text;
}

template <class T>
std::string read_number(const Node& node, T& value, const std::string& kind) {
    if (!is_plain(node)) return mismatch(node, kind);
    const char* end = node.text.data() + node.text.size();
    T read{};
    const auto [stop, error] = std::from_chars(node.text.data(), end, read);
    if (error == std::errc::invalid_argument || stop != end) return mismatch(node, kind);
    if (error == std::errc::result_out_of_range) return in_quotes(node.text) + " is out of range";
    if (has_leading_zero(node.text)) return mismatch(node, kind) + ": no leading zeros";
    value = read;
    return "";
}

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
    if (!is_plain(node)) return mismatch(node, "an integer in decimal digits");
    Node plain = node;
    plain.text = plain_integer(node.text);
    const std::string why = read_number(plain, value, "an integer in decimal digits");
    if (why.empty() || node.text.find_last_of("kKmMgG") + 1 != node.text.size()) return why;
    return in_quotes(node.text) + " could count in thousands or in 1024s: write the digits, as in 524_288 or 2e9";
}

std::string read_scalar(const Node& node, double& value) {
    double read = 0;
    const std::string why = read_number(node, read, "a number");
    if (!why.empty()) return why;
    if (!std::isfinite(read)) return mismatch(node, "a finite number");
    value = read;
    return "";
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
