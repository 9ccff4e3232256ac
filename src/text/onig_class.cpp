#include "text/onig_class.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace sluice {
namespace {

constexpr int kDeepestClass = 32;  // levels of nested classes
constexpr char kAnyCharacter[] = "(?s:.)";

bool is_alnum(char32_t c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// A code point of exactly `digits` hexadecimal digits, or (0) of as many as there are before '}'.
std::optional<char32_t> hex_number(OnigCursor& cursor, size_t digits) {
    uint32_t value = 0;
    size_t n = 0;
    for (; !cursor.done() && hex_digit(cursor.pattern[cursor.at]) >= 0 && n < (digits ? digits : 7); n++)
        value = value * 16 + uint32_t(hex_digit(cursor.pattern[cursor.at++]));
    if (digits ? n != digits : n == 0 || !cursor.take("}")) return {};
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return {};
    return char32_t(value);
}

}  // namespace

bool OnigCursor::take(std::string_view text) {
    if (!sees(text)) return false;
    at += text.size();
    return true;
}

char32_t OnigCursor::character() {
    utf8proc_int32_t c = -1;
    const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(pattern.data()) + at,
                                    utf8proc_ssize_t(pattern.size() - at), &c);
    if (n < 1) throw std::runtime_error("the pattern is not valid UTF-8 at offset " + std::to_string(at));
    at += size_t(n);
    return char32_t(c);
}

void OnigCursor::refuse(size_t begin, const std::string& why) const {
    throw std::runtime_error("the pattern's '" + std::string(pattern.substr(begin, at - begin)) + "' at offset " +
                             std::to_string(begin) + " is not supported: " + why);
}

void OnigCursor::refuse_next(size_t bytes, const std::string& why) const {
    OnigCursor behind = *this;
    behind.at = std::min(pattern.size(), at + bytes);
    behind.refuse(at, why);
}

// ---------------------------------------------------------------- sets
std::string pcre2_character(char32_t c) {
    if (is_alnum(c)) return std::string(1, char(c));
    char text[16];
    std::snprintf(text, sizeof text, "\\x{%x}", unsigned(c));
    return text;
}

void CharSet::add(char32_t first, char32_t last) {
    inside_ += pcre2_character(first);
    if (first != last) inside_ += "-" + pcre2_character(last);
}

void CharSet::add(const CharSet& other) {
    if (other.negated_ || !other.others_.empty()) return others_.push_back(other.pattern());
    inside_ += other.inside_;
}

std::string CharSet::pattern() const {
    if (others_.empty()) return (negated_ ? "[^" : "[") + inside_ + "]";
    std::string any;
    if (!inside_.empty()) any = "[" + inside_ + "]";
    for (const auto& other : others_) any += (any.empty() ? "" : "|") + other;
    return negated_ ? "(?:(?!" + any + ")" + kAnyCharacter + ")" : "(?:" + any + ")";
}

CharSet CharSet::intersection(const std::vector<CharSet>& operands) {
    if (operands.size() == 1) return operands[0];
    std::string all;
    for (size_t i = 1; i < operands.size(); i++) all += "(?=" + operands[i].pattern() + ")";
    CharSet set;
    set.others_.push_back(all + operands[0].pattern());
    return set;
}

// ---------------------------------------------------------------- escapes and folding
std::optional<char32_t> escaped_character(OnigCursor& cursor, bool in_class) {
    const size_t before = cursor.at;
    if (cursor.done()) cursor.refuse(before - 1, "a backslash at the end");
    const char32_t c = cursor.character();
    if (!is_alnum(c)) return c;
    constexpr std::string_view kLetters = "tnrfave", kMeanings = "\t\n\r\f\a\v\x1b";
    if (const size_t i = kLetters.find(char(c)); c < 128 && i != std::string_view::npos) return kMeanings[i];
    std::optional<char32_t> value;
    if (c == 'b' && in_class) return 8;
    if (c == 'u') {
        value = hex_number(cursor, 4);
        if (!value) cursor.refuse(before - 1, "\\u is followed by four hexadecimal digits of a character");
    } else if (c == 'x') {
        value = cursor.take("{") ? hex_number(cursor, 0) : hex_number(cursor, 2);
        if (!value || (cursor.at == before + 3 && *value >= 0x80))
            cursor.refuse(before - 1, "write a character's number as \\x{...}");
    } else {
        cursor.at = before;
    }
    return value;
}

// True for ASCII. Beyond it, false for the categories that hold characters which (?i) may fold: to several characters,
// or to one of another kind.
bool folds_alike(char32_t c) {
    if (c < 0x80) return true;
    switch (utf8proc_category(utf8proc_int32_t(c))) {
        case UTF8PROC_CATEGORY_LU:
        case UTF8PROC_CATEGORY_LL:
        case UTF8PROC_CATEGORY_LT:
        case UTF8PROC_CATEGORY_LM:
        case UTF8PROC_CATEGORY_MN:
        case UTF8PROC_CATEGORY_MC:
        case UTF8PROC_CATEGORY_ME:
        case UTF8PROC_CATEGORY_NL:
        case UTF8PROC_CATEGORY_SO:
        case UTF8PROC_CATEGORY_CN:
            return false;
        default:
            return true;
    }
}

// ---------------------------------------------------------------- classes
namespace {

// Facts about a class and all those nested in it.
struct Nesting {
    int deepest = 0;
    bool intersects = false;
};

class ClassParser {
 public:
    ClassParser(OnigCursor& cursor, bool fold, Nesting& nesting) : cursor_(cursor), fold_(fold), nesting_(nesting) {}
    CharSet parse(int depth);

 private:
    void element();
    void bracket(int depth);
    void property(const OnigProperty& property, size_t begin);
    void single_or_range(char32_t first, size_t begin);
    void intersect(std::vector<CharSet>& operands);

    OnigCursor& cursor_;
    bool fold_;
    Nesting& nesting_;
    bool negated_ = false;
    bool first_ = true;   // nothing of this operand of && has been read
    bool mixed_ = false;  // an operand holds a nested class and more
    CharSet operand_;
};

CharSet ClassParser::parse(int depth) {
    const size_t begin = cursor_.at - 1;
    if (depth > kDeepestClass) cursor_.refuse(begin, "classes too deep in classes");
    nesting_.deepest = std::max(nesting_.deepest, depth);
    negated_ = cursor_.take("^");
    std::vector<CharSet> operands;
    if (cursor_.take("]")) single_or_range(']', cursor_.at - 1);  // here ']' is a literal
    for (first_ = operand_.empty();; first_ = false) {
        if (cursor_.done()) cursor_.refuse(begin, "a class without ']'");
        if (cursor_.take("]")) break;
        if (cursor_.sees("&&"))
            intersect(operands);
        else if (cursor_.sees("["))
            bracket(depth);
        else
            element();
    }
    operands.push_back(operand_);
    if (fold_ && operands.size() > 1) cursor_.refuse(begin, "an intersection under (?i)");
    if (negated_ && mixed_ && operands.size() > 1)
        cursor_.refuse(begin, "an intersection in a negated class, of parts that hold a class and more");
    CharSet all = CharSet::intersection(operands);
    if (negated_) all.negate();
    return all;
}

void ClassParser::intersect(std::vector<CharSet>& operands) {
    if (first_ || operand_.empty()) cursor_.refuse_next(2, "nothing stands before it");
    nesting_.intersects = true;
    operands.push_back(operand_);
    operand_ = {};
    cursor_.at += 2;
    for (const char* odd : {"&", "]", "^", "-"})
        if (cursor_.sees(odd)) cursor_.refuse(cursor_.at - 2, std::string("'") + odd + "' stands behind it");
}

// A nested class, or [:alpha:].
void ClassParser::bracket(int depth) {
    const size_t begin = cursor_.at;
    if (cursor_.take("[:")) {
        const bool negated = cursor_.take("^");
        const size_t end = cursor_.pattern.find(":]", cursor_.at);
        auto known = posix_property(cursor_.pattern.substr(cursor_.at, end - cursor_.at));
        if (end == std::string_view::npos || !known)
            cursor_.refuse_next(1, "'[:' begins no POSIX bracket that is known");
        cursor_.at = end + 2;
        if (negated) known->set.negate();
        known->caseless = known->caseless && !negated;
        return property(*known, begin);
    }
    cursor_.at++;
    if (fold_) cursor_.refuse(begin, "a class in a class under (?i)");
    const bool alone = operand_.empty();
    operand_.add(ClassParser(cursor_, fold_, nesting_).parse(depth + 1));
    mixed_ = mixed_ || !alone || !(cursor_.sees("]") || cursor_.sees("&&"));
}

void ClassParser::property(const OnigProperty& property, size_t begin) {
    // To \p{L} (?i) adds U+0345, the combining iota, and in a class that is not negated also strings of several
    // characters.
    const bool letters = fold_ && negated_ && cursor_.pattern.substr(begin, cursor_.at - begin) == R"(\p{L})";
    if (fold_ && !property.caseless && !letters) cursor_.refuse(begin, "this property in a class under (?i)");
    operand_.add(property.set);
    if (letters) operand_.add(0x345);
    if (cursor_.sees("-") && !cursor_.sees("-]")) cursor_.refuse_next(1, "a range from no single character: write \\-");
}

void ClassParser::element() {
    const size_t begin = cursor_.at;
    if (!cursor_.take("\\")) {
        const char32_t c = cursor_.character();
        if (c == '-' && !cursor_.sees("]") && (!first_ || cursor_.sees("-")))
            cursor_.refuse(begin, "it stands for itself only first or last: write \\-");
        if (c == '-') return operand_.add(c);
        return single_or_range(c, begin);
    }
    if (const auto c = escaped_character(cursor_, true)) return single_or_range(*c, begin);
    const char letter = cursor_.pattern[cursor_.at++];
    if (letter == 'p' || letter == 'P') return property(named_property(cursor_, true), begin);
    if (const auto known = escaped_property(letter, true)) return property(*known, begin);
    cursor_.refuse(begin, "this escape in a class");
}

void ClassParser::single_or_range(char32_t first, size_t begin) {
    char32_t last = first;
    if (cursor_.sees("-") && !cursor_.sees("-]")) {
        cursor_.at++;
        if (cursor_.done() || cursor_.sees("[") || cursor_.sees("&&") || cursor_.sees("-"))
            cursor_.refuse(begin, "a range to no single character: write \\-");
        if (cursor_.take("\\")) {
            const auto c = escaped_character(cursor_, true);
            if (!c) cursor_.refuse(begin, "a range to no single character: write \\-");
            last = *c;
        } else {
            last = cursor_.character();
        }
        if (last < first) cursor_.refuse(begin, "a range that ends before it begins");
        if (cursor_.sees("-") && !cursor_.sees("-]")) cursor_.refuse_next(1, "it stands behind a range: write \\-");
    }
    const bool caseless = first >= 0x2E80 && last <= 0xA4CF;  // kana, ideographs, Yi
    if (fold_ && !caseless && !(first == last && folds_alike(first)) && last >= 0x80)
        cursor_.refuse(begin, "letters beyond ASCII in a class under (?i)");
    operand_.add(first, last);
}

}  // namespace

// The library's results are irregular for intersections in deeply nested classes, and in some negated ones.
CharSet parse_class(OnigCursor& cursor, bool fold) {
    const size_t begin = cursor.at - 1;
    Nesting nesting;
    CharSet all = ClassParser(cursor, fold, nesting).parse(0);
    if (nesting.intersects && nesting.deepest > 1)
        cursor.refuse(begin, "an intersection, and classes too deep in classes");
    return all;
}

}  // namespace sluice
