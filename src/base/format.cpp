#include "base/format.h"

#include <cmath>
#include <cstdio>

namespace sluice {
namespace {

std::string print(const char* format, double x) {
    char text[48];
    std::snprintf(text, sizeof text, format, x);
    return text;
}

std::string scaled(double n, double base) {
    if (!std::isfinite(n)) return print("%.0f", n);
    const char* unit = "KMGTPE";
    if (std::fabs(n) < base) return print("%.0f", n);
    double x = n / base;
    for (; std::fabs(x) >= base - 0.5 && unit[1]; x /= base) unit++;
    return print(std::fabs(x) < 10 ? "%.2f" : std::fabs(x) < 100 ? "%.1f" : "%.0f", x) + *unit;
}

}  // namespace

std::string format_count(double n) { return scaled(n, 1000); }

std::string format_bytes(double bytes) { return std::fabs(bytes) < 1024 ? print("%.0fB", bytes) : scaled(bytes, 1024); }

std::string format_seconds(double s) {
    if (!std::isfinite(s)) return "?";
    if (s < 0.9995) return print("%.0fms", s * 1000);
    if (s < 60) return print(s < 10 ? "%.2fs" : "%.1fs", s);
    const long whole = std::lround(s);
    char text[48];
    if (whole < 3600)
        std::snprintf(text, sizeof text, "%ldm%02lds", whole / 60, whole % 60);
    else
        std::snprintf(text, sizeof text, "%ldh%02ldm", whole / 3600, whole / 60 % 60);
    return text;
}

}  // namespace sluice
