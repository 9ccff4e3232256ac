// Translates sets of characters from Oniguruma's syntax to PCRE2's: classes with their unions and intersections, \s and
// its like, \p{...}. Where the libraries differ, the result matches what Oniguruma matches. What is not known to be
// equal is refused. Part of text/onig_syntax.h.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// The parser's position in a pattern (UTF-8). Errors: std::runtime_error, naming the construct and its offset.
struct OnigCursor {
    std::string_view pattern;
    size_t at = 0;

    bool done() const { return at >= pattern.size(); }
    bool sees(std::string_view text) const { return pattern.substr(at, text.size()) == text; }
    bool take(std::string_view text);
    char32_t character();  // reads one
    // Fails: pattern[begin, at) is not supported, and why.
    [[noreturn]] void refuse(size_t begin, const std::string& why) const;
    [[noreturn]] void refuse_next(size_t bytes, const std::string& why) const;  // for the next `bytes` bytes
};

// A set of single characters, as a pattern of PCRE2.
class CharSet {
 public:
    void add(char32_t c) { add(c, c); }
    void add(char32_t first, char32_t last);
    void add(const CharSet& other);
    void add_inside(const std::string& content) { inside_ += content; }  // as between PCRE2's brackets
    void negate() { negated_ = !negated_; }
    bool empty() const { return inside_.empty() && others_.empty(); }
    std::string pattern() const;  // matches one character
    static CharSet intersection(const std::vector<CharSet>& operands);

 private:
    std::string inside_;               // between brackets
    std::vector<std::string> others_;  // patterns of one character each
    bool negated_ = false;
};

// A property, such as \p{L}, or an escape for one, such as \s. In a class under (?i) only caseless ones are supported.
struct OnigProperty {
    CharSet set;
    bool caseless = true;  // (?i) adds no character to it
};

std::string pcre2_character(char32_t c);  // for inside and outside of classes
OnigProperty word_property(bool in_class);
// \d \s \w \h and their complements, by their letter; none for other letters.
std::optional<OnigProperty> escaped_property(char letter, bool in_class);
OnigProperty named_property(OnigCursor& cursor, bool in_class);  // the cursor is at the { of \p{...}
std::optional<OnigProperty> posix_property(std::string_view name);

// The character that an escape stands for; the cursor is after the backslash. None, with the cursor where it was, for
// an escape that stands for something else.
std::optional<char32_t> escaped_character(OnigCursor& cursor, bool in_class);

// The class whose '[' is just before the cursor; reads its ']' too. fold: under (?i).
CharSet parse_class(OnigCursor& cursor, bool fold);
// Whether (?i) adds the same characters to this one in both libraries.
bool folds_alike(char32_t c);

}  // namespace sluice
