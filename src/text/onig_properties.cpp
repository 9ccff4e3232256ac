// Oniguruma's properties, written for PCRE2. Each was compared over all characters of Unicode 14.
#include <algorithm>
#include <cctype>
#include <map>

#include "text/onig_class.h"

namespace sluice {
namespace {

// Letters and marks that became alphabetic, or lower case, after Unicode 14.
#define SLUICE_ALPHABETIC R"(\p{Alphabetic}\x{363}-\x{36f}\x{c04}\x{f82}\x{f83}\x{1dd3}-\x{1de6}\x{11080}\x{11081})"
constexpr char kAlphabetic[] = SLUICE_ALPHABETIC, kAlnum[] = SLUICE_ALPHABETIC R"(\p{Nd})";
#undef SLUICE_ALPHABETIC
constexpr char kLower[] = R"(\p{Lowercase}\x{10fc}\x{a7f2}-\x{a7f4}\x{ab69})";
constexpr char kWhiteSpace[] = R"(\p{Z}\x{9}-\x{d}\x{85})";  // Unicode's White_Space; PCRE2's \s adds U+180E
constexpr char kBlank[] = R"(\p{Zs}\x{9})", kHex[] = "0-9a-fA-F";
constexpr char kWord[] = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
constexpr char kWordBeyondClasses[] = R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";  // Oniguruma's \w, but not its [\w]
constexpr char kNotGraph[] = R"(\p{Z}\p{Cc}\p{Cn}\p{Cs})", kNotPrint[] = R"(\p{Zl}\p{Zp}\p{Cc}\p{Cn}\p{Cs})";

struct Named {
    const char* inside;  // between PCRE2's brackets
    bool caseless = true, negated = false;
};
using Names = std::map<std::string, Named, std::less<>>;

const Names& general_categories() {
    static const Names names{
        {"l", {R"(\p{L})", false}},
        {"letter", {R"(\p{L})", false}},
        {"lu", {R"(\p{Lu})", false}},
        {"uppercaseletter", {R"(\p{Lu})", false}},
        {"ll", {R"(\p{Ll})", false}},
        {"lowercaseletter", {R"(\p{Ll})", false}},
        {"lt", {R"(\p{Lt})", false}},
        {"titlecaseletter", {R"(\p{Lt})", false}},
        {"lc", {R"(\p{L&})", false}},
        {"casedletter", {R"(\p{L&})", false}},
        {"lm", {R"(\p{Lm})"}},
        {"modifierletter", {R"(\p{Lm})"}},
        {"lo", {R"(\p{Lo})"}},
        {"otherletter", {R"(\p{Lo})"}},
        {"m", {R"(\p{M})", false}},
        {"mark", {R"(\p{M})", false}},
        {"me", {R"(\p{Me})"}},
        {"enclosingmark", {R"(\p{Me})"}},
        {"n", {R"(\p{N})"}},
        {"number", {R"(\p{N})"}},
        {"nd", {R"(\p{Nd})"}},
        {"decimalnumber", {R"(\p{Nd})"}},
        {"nl", {R"(\p{Nl})"}},
        {"letternumber", {R"(\p{Nl})"}},
        {"no", {R"(\p{No})"}},
        {"othernumber", {R"(\p{No})"}},
        {"p", {R"(\p{P})"}},
        {"punctuation", {R"(\p{P})"}},
        {"pc", {R"(\p{Pc})"}},
        {"connectorpunctuation", {R"(\p{Pc})"}},
        {"pd", {R"(\p{Pd})"}},
        {"dashpunctuation", {R"(\p{Pd})"}},
        {"ps", {R"(\p{Ps})"}},
        {"openpunctuation", {R"(\p{Ps})"}},
        {"pe", {R"(\p{Pe})"}},
        {"closepunctuation", {R"(\p{Pe})"}},
        {"pi", {R"(\p{Pi})"}},
        {"initialpunctuation", {R"(\p{Pi})"}},
        {"pf", {R"(\p{Pf})"}},
        {"finalpunctuation", {R"(\p{Pf})"}},
        {"po", {R"(\p{Po})"}},
        {"otherpunctuation", {R"(\p{Po})"}},
        {"s", {R"(\p{S})"}},
        {"symbol", {R"(\p{S})"}},
        {"sm", {R"(\p{Sm})"}},
        {"mathsymbol", {R"(\p{Sm})"}},
        {"sc", {R"(\p{Sc})"}},
        {"currencysymbol", {R"(\p{Sc})"}},
        {"sk", {R"(\p{Sk})"}},
        {"modifiersymbol", {R"(\p{Sk})"}},
        {"so", {R"(\p{So})"}},
        {"othersymbol", {R"(\p{So})"}},
        {"z", {R"(\p{Z})"}},
        {"separator", {R"(\p{Z})"}},
        {"zs", {R"(\p{Zs})"}},
        {"spaceseparator", {R"(\p{Zs})"}},
        {"zl", {R"(\p{Zl})"}},
        {"lineseparator", {R"(\p{Zl})"}},
        {"zp", {R"(\p{Zp})"}},
        {"paragraphseparator", {R"(\p{Zp})"}},
        {"c", {R"(\p{C})"}},
        {"other", {R"(\p{C})"}},
        {"cc", {R"(\p{Cc})"}},
        {"control", {R"(\p{Cc})"}},
        {"cf", {R"(\p{Cf})"}},
        {"format", {R"(\p{Cf})"}},
        {"cn", {R"(\p{Cn})"}},
        {"unassigned", {R"(\p{Cn})"}},
        {"co", {R"(\p{Co})"}},
        {"privateuse", {R"(\p{Co})"}},
        {"assigned", {R"(\p{Cn})", false, true}},
    };
    return names;
}

// Properties by their POSIX names, as \p{alpha}. [:punct:] is another set (posix_property).
const Names& posix_names() {
    static const Names names{{"alpha", {kAlphabetic, false}},
                             {"alnum", {kAlnum, false}},
                             {"upper", {R"(\p{Uppercase})", false}},
                             {"lower", {kLower, false}},
                             {"space", {kWhiteSpace}},
                             {"blank", {kBlank}},
                             {"cntrl", {R"(\p{Cc})"}},
                             {"digit", {R"(\p{Nd})"}},
                             {"xdigit", {kHex}},
                             {"ascii", {R"(\x{0}-\x{7f})", false}},
                             {"graph", {kNotGraph, false, true}},
                             {"print", {kNotPrint, false, true}},
                             {"punct", {R"(\p{P})"}}};
    return names;
}

// Scripts, by \p{sc:...}: a bare name means script extensions in PCRE2. The flag: its letters have no case.
const std::map<std::string, std::pair<const char*, bool>, std::less<>>& scripts() {
    static const std::map<std::string, std::pair<const char*, bool>, std::less<>> names{
        {"arabic", {"Arabic", true}},
        {"armenian", {"Armenian", false}},
        {"bengali", {"Bengali", true}},
        {"bopomofo", {"Bopomofo", true}},
        {"braille", {"Braille", true}},
        {"cherokee", {"Cherokee", false}},
        {"common", {"Common", false}},
        {"coptic", {"Coptic", false}},
        {"cyrillic", {"Cyrillic", false}},
        {"devanagari", {"Devanagari", true}},
        {"ethiopic", {"Ethiopic", true}},
        {"georgian", {"Georgian", false}},
        {"gothic", {"Gothic", true}},
        {"greek", {"Greek", false}},
        {"gujarati", {"Gujarati", true}},
        {"gurmukhi", {"Gurmukhi", true}},
        {"han", {"Han", true}},
        {"hangul", {"Hangul", true}},
        {"hebrew", {"Hebrew", true}},
        {"hiragana", {"Hiragana", true}},
        {"inherited", {"Inherited", false}},
        {"kannada", {"Kannada", true}},
        {"katakana", {"Katakana", true}},
        {"khmer", {"Khmer", true}},
        {"lao", {"Lao", true}},
        {"latin", {"Latin", false}},
        {"malayalam", {"Malayalam", true}},
        {"mongolian", {"Mongolian", true}},
        {"myanmar", {"Myanmar", true}},
        {"oriya", {"Oriya", true}},
        {"runic", {"Runic", true}},
        {"sinhala", {"Sinhala", true}},
        {"syriac", {"Syriac", true}},
        {"tamil", {"Tamil", true}},
        {"telugu", {"Telugu", true}},
        {"thaana", {"Thaana", true}},
        {"thai", {"Thai", true}},
        {"tibetan", {"Tibetan", true}},
        {"yi", {"Yi", true}},
    };
    return names;
}

// U+1171E was a nonspacing mark in Unicode 14 and is a spacing one since.
OnigProperty nonspacing_mark() {
    CharSet marks, not_moved;
    marks.add_inside(R"(\p{Mn})");
    not_moved.add(0x1171E);
    not_moved.negate();
    return {CharSet::intersection({marks, not_moved}), false};
}

OnigProperty property_of(const Named& named) {
    OnigProperty property;
    property.set.add_inside(named.inside);
    if (named.negated) property.set.negate();
    property.caseless = named.caseless;
    return property;
}

// The form in which Oniguruma compares names: without case, spaces, '-' and '_'.
std::string plain_name(std::string_view name) {
    std::string plain;
    for (const char c : name)
        if (c != ' ' && c != '-' && c != '_') plain += char(std::tolower(uint8_t(c)));
    return plain;
}

std::optional<OnigProperty> find_property(const std::string& name, bool in_class) {
    if (name == "word") return word_property(in_class);
    if (name == "mn" || name == "nonspacingmark") return nonspacing_mark();
    if (name == "mc" || name == "spacingmark") return property_of({R"(\p{Mc}\x{1171e})"});
    if (name == "whitespace") return property_of({kWhiteSpace});
    if (name == "any") return property_of({R"(\x{0}-\x{10ffff})", false});
    if (name == "alphabetic") return property_of({kAlphabetic, false});
    if (name == "uppercase") return property_of({R"(\p{Uppercase})", false});
    if (name == "lowercase") return property_of({kLower, false});
    if (name == "emoji") return property_of({R"(\p{Emoji})", false});
    for (const Names* names : {&general_categories(), &posix_names()})
        if (const auto it = names->find(name); it != names->end()) return property_of(it->second);
    if (const auto it = scripts().find(name); it != scripts().end()) {
        OnigProperty property;
        property.set.add_inside(std::string(R"(\p{sc:)") + it->second.first + "}");
        property.caseless = it->second.second;
        return property;
    }
    return {};
}

}  // namespace

OnigProperty word_property(bool in_class) {
    OnigProperty property = property_of({kWord, false});
    if (!in_class) property.set.add_inside(kWordBeyondClasses);
    return property;
}

std::optional<OnigProperty> escaped_property(char letter, bool in_class) {
    const char lower = char(std::tolower(uint8_t(letter)));
    std::optional<OnigProperty> property;
    if (lower == 'd') property = property_of({R"(\p{Nd})"});
    if (lower == 's') property = property_of({kWhiteSpace});
    if (lower == 'h') property = property_of({kHex});
    if (lower == 'w') property = word_property(in_class);
    if (property && letter != lower) {
        property->set.negate();
        property->caseless = false;
    }
    return property;
}

OnigProperty named_property(OnigCursor& cursor, bool in_class) {
    const size_t begin = cursor.at - 2;
    const bool negated = cursor.pattern[cursor.at - 1] == 'P';
    if (!cursor.take("{")) cursor.refuse(begin, "a property's name stands in braces");
    const bool circumflex = cursor.take("^");
    const size_t end = cursor.pattern.find('}', cursor.at);
    if (end == std::string_view::npos) cursor.refuse(begin, "a property without '}'");
    const std::string name = plain_name(cursor.pattern.substr(cursor.at, end - cursor.at));
    cursor.at = end + 1;
    auto property = find_property(name, in_class);
    if (!property) cursor.refuse(begin, "a property that is not known here (general categories and scripts are)");
    if (negated != circumflex) {
        property->set.negate();
        property->caseless = false;
    }
    return *property;
}

std::optional<OnigProperty> posix_property(std::string_view name) {
    if (name == "word") return word_property(true);
    if (name == "punct") return property_of({R"(\p{P}\p{S})"});
    const auto it = posix_names().find(name);
    return it == posix_names().end() ? std::nullopt : std::optional(property_of(it->second));
}

}  // namespace sluice
