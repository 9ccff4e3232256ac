#include "text/onig_syntax.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>

#include "text/onig_class.h"

namespace sluice {
namespace {

constexpr int kDeepestGroup = 64, kMostRepeats = 65535;  // levels of nested groups; PCRE2's limit

struct Options {
    bool fold = false, dot_all = false;  // (?i), (?m)
};

// Applies a letter of (?im-im); false: it is another letter. on: whether no '-' came before it.
bool set_option(char letter, bool& on, Options& options) {
    if (letter == '-')
        on = false;
    else if (letter == 'i')
        options.fold = on;
    else if (letter == 'm')
        options.dot_all = on;
    else
        return false;
    return true;
}

struct Item {
    std::string text;     // for PCRE2
    bool repeats = true;  // a quantifier may follow
};

struct Interval {
    int least = 0, most = 0;  // most -1: no limit
    bool fixed = false;       // {n}
};

class OnigParser {
 public:
    explicit OnigParser(const std::string& pattern) : cursor_{pattern} {}
    std::string parse() {
        const std::string out = alternatives({}, 0);
        if (!cursor_.done()) cursor_.refuse_next(1, "no group is open");
        return out;
    }

 private:
    std::string alternatives(Options options, int depth);
    Item item(Options options, int depth);
    Item group(Options options, int depth);
    std::string inside(const char* opening, Options options, size_t begin, int depth);
    Item escape(Options options);
    Item special_escape(char letter, size_t begin);
    Item literal(char32_t c, Options options, size_t begin);
    bool take_options(Options& options, size_t begin);
    std::string quantified(const Item& item, size_t begin);
    bool take_interval(Interval& interval);
    std::string with_interval(const std::string& item, const Interval& interval);
    void refuse_second_quantifier();
    Item set(const CharSet& chars) {
        previous_ = 0;
        return {chars.pattern()};
    }

    OnigCursor cursor_;
    char32_t previous_ = 0;  // the literal before this item, under (?i); 0: none
};

// The alternatives up to the end of the group, or of the pattern.
std::string OnigParser::alternatives(Options options, int depth) {
    std::string out;
    while (!cursor_.done() && !cursor_.sees(")")) {
        const size_t begin = cursor_.at;
        if (cursor_.take("|")) {
            out += "|";
            previous_ = 0;
        } else if (cursor_.sees("(?") && take_options(options, begin)) {
            if (depth > kDeepestGroup) cursor_.refuse(begin, "options set too often");
            // The options hold for the alternatives that follow, too.
            return out + "(?:" + alternatives(options, depth + 1) + ")";
        } else {
            out += quantified(item(options, depth), begin);
        }
    }
    return out;
}

// Reads (?i), which sets the options for the rest of the group. False, with the cursor where it was, for anything else.
bool OnigParser::take_options(Options& options, size_t begin) {
    size_t end = begin + 2;
    while (end < cursor_.pattern.size() &&
           std::string_view("imx-WDSPILCas").find(cursor_.pattern[end]) != std::string::npos)
        end++;
    if (end == begin + 2 || end >= cursor_.pattern.size() ||
        (cursor_.pattern[end] != ')' && cursor_.pattern[end] != ':'))
        return false;
    bool on = true;
    const Options before = options;
    for (cursor_.at = begin + 2; cursor_.at < end;) {
        const char c = cursor_.pattern[cursor_.at++];
        if (!set_option(c, on, options)) cursor_.refuse(begin, std::string("option '") + c + "'");
    }
    if (cursor_.take(")")) return true;
    options = before;
    cursor_.at = begin;
    return false;
}

Item OnigParser::item(Options options, int depth) {
    const size_t begin = cursor_.at;
    if (cursor_.sees("(")) return group(options, depth);
    if (cursor_.take("[")) {
        const CharSet chars = parse_class(cursor_, options.fold);
        Item item = set(chars);
        if (options.fold) item.text = "(?i:" + item.text + ")";
        return item;
    }
    if (cursor_.take("\\")) return escape(options);
    const char32_t c = cursor_.character();
    if (c == '*' || c == '+' || c == '?') cursor_.refuse(begin, "nothing stands before it");
    if (c == '.' || c == '^' || c == '$') previous_ = 0;
    if (c == '.') return {options.dot_all ? "(?s:.)" : "[^\\n]"};
    if (c == '^') return {R"((?:\A|(?<=\n)(?!\z)))", false};
    if (c == '$') return {R"((?=\n|\z))", false};
    if (c == '{' && !cursor_.done() &&
        std::string_view("0123456789, ").find(cursor_.pattern[cursor_.at]) != std::string::npos)
        cursor_.refuse(begin, "nothing stands before it, or it is no interval: write \\{");
    return literal(c, options, begin);
}

// Under (?i) one character of a text can match several of the pattern in Oniguruma (the ligature fi, the sharp s), but
// not in PCRE2: such pairs are refused.
Item OnigParser::literal(char32_t c, Options options, size_t begin) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!options.fold) {
        previous_ = 0;
        return {pcre2_character(c)};
    }
    if (!folds_alike(c)) cursor_.refuse(begin, "a letter beyond ASCII under (?i)");
    const char32_t lower = letter ? (c | 0x20) : c;
    for (const char* pair : {"ff", "fi", "fl", "ss", "st"})
        if (previous_ == char32_t(pair[0]) && lower == char32_t(pair[1]))
            cursor_.refuse(begin, std::string("'") + pair + "' under (?i) is a single character as well");
    previous_ = lower;
    return {letter ? std::string("(?i:") + char(c) + ")" : pcre2_character(c)};
}

// ---------------------------------------------------------------- groups
Item OnigParser::group(Options options, int depth) {
    const size_t begin = cursor_.at++;
    if (depth > kDeepestGroup) cursor_.refuse(begin, "groups too deep in groups");
    if (cursor_.take("*")) cursor_.refuse(begin, "a callout or verb");
    if (!cursor_.take("?")) return {inside("(?:", options, begin, depth)};
    if (cursor_.take(":")) return {inside("(?:", options, begin, depth)};
    if (cursor_.take(">")) return {inside("(?>", options, begin, depth)};
    for (const char* look : {"=", "!", "<=", "<!"})
        if (cursor_.take(look)) {
            previous_ = 0;
            return {inside((std::string("(?") + look).c_str(), options, begin, depth), false};
        }
    if (cursor_.take("<")) {
        const size_t end = cursor_.pattern.find('>', cursor_.at);
        if (end == std::string_view::npos || end == cursor_.at) cursor_.refuse(begin, "a group without a name");
        cursor_.at = end + 1;
        return {inside("(?:", options, begin, depth)};
    }
    const std::array<std::pair<const char*, const char*>, 9> others{{{"#", "a comment"},
                                                                     {"~", "the absent operator"},
                                                                     {"(", "a condition"},
                                                                     {"{", "a callout"},
                                                                     {"|", "a branch reset"},
                                                                     {"P", "Python's kind of group"},
                                                                     {"R", "recursion"},
                                                                     {"&", "recursion"},
                                                                     {"'", "write (?<name>...)"}}};
    for (const auto& [opening, what] : others)
        if (cursor_.take(opening)) cursor_.refuse(begin, what);
    bool on = true;
    for (; !cursor_.done() && !cursor_.sees(":"); cursor_.at++) {
        const char c = cursor_.pattern[cursor_.at];
        if (!set_option(c, on, options))
            cursor_.at++, cursor_.refuse(begin, std::string("no group begins so: '") + c + "'");
    }
    cursor_.take(":");
    return {inside("(?:", options, begin, depth)};
}

std::string OnigParser::inside(const char* opening, Options options, size_t begin, int depth) {
    const std::string start = opening;
    const std::string all = start + alternatives(options, depth + 1) + ")";
    if (!cursor_.take(")")) cursor_.refuse(begin, "the group has no end");
    if (start != "(?:" && start != "(?>") previous_ = 0;
    return all;
}

// ---------------------------------------------------------------- escapes
Item OnigParser::escape(Options options) {
    const size_t begin = cursor_.at - 1;
    if (const auto c = escaped_character(cursor_, false)) return literal(*c, options, begin);
    const char letter = cursor_.pattern[cursor_.at++];
    previous_ = 0;
    if (letter == 'p' || letter == 'P') return set(named_property(cursor_, false).set);  // (?i) adds nothing here
    if (const auto known = escaped_property(letter, false)) return set(known->set);
    return special_escape(letter, begin);
}

Item OnigParser::special_escape(char letter, size_t begin) {
    const std::string word = word_property(false).set.pattern();
    const std::string before = "(?<=" + word + ")", behind = "(?=" + word + ")", not_before = "(?<!" + word + ")",
                      not_behind = "(?!" + word + ")";
    switch (letter) {
        case 'A':
        case 'z':
        case 'Z':
            return {std::string("\\") + letter, false};
        case 'b':
            return {"(?:" + before + not_behind + "|" + not_before + behind + ")", false};
        case 'B':
            return {"(?:" + before + behind + "|" + not_before + not_behind + ")", false};
        case 'N':
            return {"[^\\n]"};
        case 'O':
            return {"(?s:.)"};
        case 'R':
            return {R"((?>\r\n|[\n-\r\x{85}\x{2028}\x{2029}]))"};
        default:
            break;
    }
    const std::array<std::pair<const char*, const char*>, 8> others{
        {{"123456789k", "a back reference"},
         {"g", "a call of a group"},
         {"K", "keep"},
         {"G", "the beginning of the search"},
         {"XyY", "text segments depend on Unicode's version"},
         {"QE", "a quotation"},
         {"0o", "an octal number: write \\x{...}"},
         {"cCM", "a control character: write \\x{...}"}}};
    for (const auto& [letters, what] : others)
        if (std::string_view(letters).find(letter) != std::string_view::npos) cursor_.refuse(begin, what);
    cursor_.refuse(begin, "an unknown escape");
}

// ---------------------------------------------------------------- quantifiers
std::string OnigParser::quantified(const Item& item, size_t begin) {
    const size_t at = cursor_.at;
    Interval interval;
    const bool sign = cursor_.take("*") || cursor_.take("+") || cursor_.take("?");
    if (!sign && !take_interval(interval)) return item.text;
    if (!item.repeats) cursor_.refuse(begin, "an assertion cannot be repeated");
    if (!sign) return with_interval(item.text, interval);
    if (!cursor_.take("?")) cursor_.take("+");
    const std::string quantifier(cursor_.pattern.substr(at, cursor_.at - at));
    refuse_second_quantifier();
    return item.text + quantifier;
}

// {n} {n,} {n,m} {,m}. item() refuses anything else that begins with a brace and looks like an interval.
bool OnigParser::take_interval(Interval& interval) {
    const size_t begin = cursor_.at;
    if (!cursor_.take("{")) return false;
    const auto number = [&]() -> int {
        int value = -1;
        while (!cursor_.done() && cursor_.pattern[cursor_.at] >= '0' && cursor_.pattern[cursor_.at] <= '9') {
            value = std::max(0, value) * 10 + (cursor_.pattern[cursor_.at++] - '0');
            if (value > kMostRepeats) cursor_.refuse(begin, "more repeats than " + std::to_string(kMostRepeats));
        }
        return value;
    };
    interval.least = number();
    interval.fixed = !cursor_.take(",");
    interval.most = interval.fixed ? interval.least : number();
    if (!cursor_.take("}") || (interval.least < 0 && interval.most < 0)) {
        cursor_.at = begin;
        return false;
    }
    interval.least = std::max(0, interval.least);
    if (interval.most >= 0 && interval.most < interval.least)
        cursor_.refuse(begin, "an interval that ends before it begins");
    return true;
}

// In Ruby's syntax {n}? is not lazy but optional, and {n,m}+ not possessive but repeated.
std::string OnigParser::with_interval(const std::string& item, const Interval& interval) {
    std::string times = "{" + std::to_string(interval.least);
    if (!interval.fixed) times += "," + (interval.most < 0 ? "" : std::to_string(interval.most));
    const std::string all = item + times + "}";
    const bool question = cursor_.take("?"), plus = !question && cursor_.take("+");
    refuse_second_quantifier();
    if (question) return interval.fixed ? "(?:" + all + ")?" : all + "?";
    return plus ? "(?:" + all + ")+" : all;
}

void OnigParser::refuse_second_quantifier() {
    Interval interval;
    const size_t at = cursor_.at;
    if (cursor_.take("*") || cursor_.take("+") || cursor_.take("?") || take_interval(interval))
        cursor_.refuse(at, "a quantifier of a quantifier: put what it repeats in (?:...)");
}

}  // namespace

std::string pcre2_of_onig(const std::string& pattern) { return OnigParser(pattern).parse(); }

}  // namespace sluice
