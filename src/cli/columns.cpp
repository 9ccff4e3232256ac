#include "cli/columns.h"

#include <algorithm>

namespace sluice {
namespace {

const std::string kBetween = " | ";

// Bytes of the UTF-8 character that begins here; 1 where none begins.
size_t character(const std::string& text, size_t at) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const size_t bytes = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 1;
    for (size_t i = 1; i < bytes; i++)
        if (at + i >= text.size() || (static_cast<unsigned char>(text[at + i]) & 0xc0) != 0x80) return 1;
    return bytes;
}
// From U+0800 on.
int width_of_character(size_t bytes) { return bytes < 3 ? 1 : 2; }

std::string cut_off(const std::string& text, int width) {
    size_t at = 0;
    for (int used = 0; at < text.size();) {
        const size_t bytes = character(text, at);
        used += width_of_character(bytes);
        if (used > width) break;
        at += bytes;
    }
    return text.substr(0, at);
}

int width_of(const Columns& columns) {
    int width = columns.empty() ? 0 : int(kBetween.size() * (columns.size() - 1));
    for (const Column& c : columns) width += columns_of(c.text);
    return width;
}

}  // namespace

int columns_of(const std::string& text) {
    int width = 0;
    for (size_t at = 0; at < text.size();) {
        const size_t bytes = character(text, at);
        width += width_of_character(bytes);
        at += bytes;
    }
    return width;
}

std::string join(Columns columns, int width, bool coloured) {
    while (width > 0 && columns.size() > 1 && width_of(columns) > width) {
        const auto least = std::min_element(columns.rbegin(), columns.rend(), [](const Column& a, const Column& b) {
            return a.importance < b.importance;
        });
        columns.erase(std::next(least).base());
    }
    std::string line;
    for (const Column& c : columns) {
        if (!line.empty()) line += kBetween;
        const std::string text = width > 0 ? cut_off(c.text, width) : c.text;
        line += coloured && *c.colour ? c.colour + text + "\x1b[0m" : text;
    }
    return line;
}

}  // namespace sluice
