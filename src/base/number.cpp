#include "base/number.h"

#include <charconv>
#include <cmath>

#include "base/format.h"

namespace sluice {
namespace {

// Some YAML parsers read 010 as ten, others as eight.
bool has_leading_zero(const std::string& text) {
    const size_t at = text.starts_with('-') ? 1 : 0;
    return text.size() > at + 1 && text[at] == '0' && text[at + 1] >= '0' && text[at + 1] <= '9';
}

// 524_288 -> 524288, 2e9 -> 2000000000; other text is returned unchanged.
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
        const size_t right = text.size() - 1 - i;  // characters to the right of this one: 3, 7, 11, ... for a '_'
        if (text[i] != '_')
            plain += text[i];
        else if (right % 4 != 3 || i == 0 || !digits(text.substr(i + 1, 3)))
            return text;
    }
    return plain.size() == text.size() || (digits(plain) && text.find('_') <= 3) ? plain : text;
}

template <class T>
std::string read_decimal(const std::string& text, T& value, const std::string& kind) {
    const std::string mismatch = in_quotes(text) + " is not " + kind;
    const char* end = text.data() + text.size();
    T read{};
    const auto [stop, error] = std::from_chars(text.data(), end, read);
    if (error == std::errc::invalid_argument || stop != end) return mismatch;
    if (error == std::errc::result_out_of_range) return in_quotes(text) + " is out of range";
    if (has_leading_zero(text)) return mismatch + ": no leading zeros";
    value = read;
    return "";
}

}  // namespace

std::string read_number(const std::string& text, int64_t& value) {
    const std::string why = read_decimal(plain_integer(text), value, "an integer in decimal digits");
    if (why.empty() || text.empty() || text.find_last_of("kKmMgG") + 1 != text.size()) return why;
    return in_quotes(text) + " could count in thousands or in 1024s: write the digits, as in 524_288 or 2e9";
}

std::string read_number(const std::string& text, double& value) {
    double read = 0;
    const std::string why = read_decimal(text, read, "a number");
    if (!why.empty()) return why;
    if (!std::isfinite(read)) return in_quotes(text) + " is not a finite number";
    value = read;
    return "";
}

}  // namespace sluice
