#include "base/format.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

namespace sluice {
namespace {

// Three digits of a number from 1 on: 1.74, 61.3, 950. The thresholds are those of the rounded number: 9.996 is 10.0.
std::string three_digits(double x) { return format_fixed(x, std::fabs(x) < 9.995 ? 2 : std::fabs(x) < 99.95 ? 1 : 0); }

// n in the largest unit (powers of `base`) that leaves it at least 1. A number that would be printed as `base` gets the
// next unit.
std::string scaled(double n, double base) {
    if (!std::isfinite(n) || std::fabs(n) < base - 0.5) return format_fixed(n, 0);
    const char* unit = "KMGTPE";
    double x = n / base;
    for (; std::fabs(x) >= base - 0.5 && unit[1]; x /= base) unit++;
    return three_digits(x) + *unit;
}

}  // namespace

std::string format_fixed(double x, int decimals) {
    if (std::isnan(x)) return "nan";  // whatever its sign
    return fmt::format("{:.{}f}", x, decimals);
}

std::string format_count(double n) { return scaled(n, 1000); }

std::string format_bytes(double bytes) {
    return std::isfinite(bytes) && std::fabs(bytes) < 1023.5 ? format_fixed(bytes, 0) + "B" : scaled(bytes, 1024);
}

std::string format_seconds(double s) {
    if (!std::isfinite(s) || s > 1e15) return "?";
    if (s > 0 && s < 0.0005) return "<1ms";
    if (s < 0.9995) return format_fixed(s * 1000, 0) + "ms";
    if (s < 59.95) return format_fixed(s, s < 9.995 ? 2 : 1) + "s";
    const int64_t whole = std::llround(s), hours = whole / 3600;
    if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
    if (hours < 100) return fmt::format("{}h{:02}m", hours, whole / 60 % 60);
    return fmt::format("{}d{:02}h", hours / 24, hours % 24);
}

std::string counted(int64_t n, const std::string& noun) { return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s"); }

std::string counted_short(double n, const std::string& noun) {
    return fmt::format("{} {}{}", format_count(n), noun, format_count(n) == "1" ? "" : "s");
}

std::string format_list(const std::vector<std::string>& names, size_t most) {
    std::string text;
    for (size_t i = 0; i < names.size() && i < most; i++) text += (i > 0 ? ", " : "") + names[i];
    for (char& c : text)
        if ((unsigned char)(c) < 32 || c == 127) c = '?';
    if (names.size() > most) text += " and " + std::to_string(names.size() - most) + " more";
    return text;
}

std::string printable(const std::string& text, size_t longest) {
    std::string out;
    for (const char c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    if (out.size() <= longest) return out;
    size_t cut = longest;
    while (cut > 0 && (static_cast<unsigned char>(out[cut]) & 0xC0) == 0x80) cut--;
    return out.substr(0, cut) + "...";
}

std::string in_quotes(const std::string& text) {
    std::string out = "'";
    out += printable(text);
    return out += "'";
}

}  // namespace sluice
