#include "config/yaml_missing.h"

namespace sluice {
namespace {

size_t trimmed_end(const std::string& text, size_t start, size_t end) {
    while (end > start && (text[end - 1] == ' ' || text[end - 1] == '\t' || text[end - 1] == '\r')) end--;
    return end;
}

// The end of a line's content: before its comment, if the content is empty or ends in ':' or '-'.
size_t content_end(const std::string& text, size_t start, size_t end) {
    for (size_t i = start; i < end; i++) {
        if (text[i] != '#' || (i > start && text[i - 1] != ' ' && text[i - 1] != '\t')) continue;
        const size_t before = trimmed_end(text, start, i);
        if (before == start || text[before - 1] == ':' || text[before - 1] == '-') return before;
    }
    return trimmed_end(text, start, end);
}

}  // namespace

size_t missing_at(const std::string& text, size_t next) {
    size_t end = trimmed_end(text, 0, next);
    // Text before the token on its line is no comment. The lines above may end in one, and so may the last line.
    if (next < text.size() && end > 0 && text[end - 1] != '\n') return end;
    for (size_t line_end = end; line_end > 0; line_end--) {
        const size_t start = text.rfind('\n', line_end - 1) + 1;
        end = content_end(text, start, line_end);
        if (end > start) return end;
        line_end = start;
        if (start == 0) break;
    }
    return next;
}

std::string null_word(const std::string& text, size_t at) {
    for (const char* word : {"~", "null", "Null", "NULL"})
        if (text.compare(at, std::string(word).size(), word) == 0) return word;
    return "";
}

}  // namespace sluice
