// Patterns as Hugging Face's library reads them (make_patterns.py), and what is refused.
#include "text/onig_syntax.h"

#include <gtest/gtest.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "text/pattern.h"
#include "text/support.h"

namespace sluice {
namespace {

// Where pieces end, but for the last: behind what is matched, and behind what is not.
std::vector<size_t> cuts_of(const Pattern& pattern, const std::string& text) {
    std::vector<size_t> cuts;
    const auto cut = [&](size_t at) {
        if (at > 0 && at < text.size() && (cuts.empty() || cuts.back() != at)) cuts.push_back(at);
    };
    pattern.each_match(text, [&](size_t begin, size_t end) {
        cut(begin);
        cut(end);
    });
    return cuts;
}

TEST(OnigSyntax, SplitsAsTheLibraryDoes) {
    const Json expected = fixture("patterns");
    ASSERT_GT(expected["patterns"].size(), 250u);
    for (const Json& entry : expected["patterns"]) {
        const std::string given = entry[0];
        try {
            const Pattern pattern(given);
            for (size_t i = 0; i < expected["texts"].size(); i++) {
                const std::string text = expected["texts"][i];
                EXPECT_EQ(cuts_of(pattern, text), entry[1][i].get<std::vector<size_t>>())
                    << given << " -> " << pcre2_of_onig(given) << " on " << text;
            }
        } catch (const std::exception& e) { ADD_FAILURE() << given << ": " << e.what(); }
    }
}

// By the construct, its offset and what it is.
TEST(OnigSyntax, WhatIsNotKnownIsRefused) {
    const std::pair<const char*, const char*> cases[] = {
        {R"(a\K)", R"('\K' at offset 1)"},
        {R"(é\G)", R"('\G' at offset 2)"},
        {R"(a|\X)", "text segments"},
        {R"(\y)", "text segments"},
        {R"((a)\1)", "back reference"},
        {R"((?<n>a)\k<n>)", "back reference"},
        {R"((?<n>a)\g<n>)", "call of a group"},
        {R"(\Qa\E)", "quotation"},
        {R"(\012)", "octal"},
        {R"(\o{12})", "octal"},
        {R"(\cA)", "control character"},
        {R"(\M-a)", "control character"},
        {R"(\i)", "unknown escape"},
        {R"(\pL)", "braces"},
        {R"(\xe4\xb8\xad)", R"(\x{...})"},
        {R"(\x{41 42})", R"(\x{...})"},
        {R"(\x{110000})", R"(\x{...})"},
        {R"(\ud800)", "hexadecimal"},
        {R"(\p{Script=Han})", R"('\p{Script=Han}' at offset 0)"},
        {R"(\p{IsAlphabetic})", "property"},
        {R"(\p{L&})", "property"},
        {R"(\p{In_Basic_Latin})", "property"},
        {R"(\p{Emoji_Modifier})", "property"},
        {R"(\p{L)", "without '}'"},
        {"(?~ab)", "absent operator"},
        {"a(?#b)", "'(?#' at offset 1"},
        {"(?P<n>a)", "Python"},
        {"(?R)", "recursion"},
        {"(?|a|b)", "branch reset"},
        {"(?(1)a|b)", "condition"},
        {"(?{a})", "callout"},
        {"(*FAIL)", "callout or verb"},
        {"(?x)a b", "option 'x'"},
        {"(?x:a b)", "'x'"},
        {"(?s:.)", "'s'"},
        {"(?a)a", "option 'a'"},
        {"(?^:a)", "no group begins so"},
        {"(?'n'a)", "(?<name>...)"},
        {"(?:a", "no end"},
        {"(a", "no end"},
        {"a)", "no group is open"},
        {"[a", "without ']'"},
        {"[]", "without ']'"},
        {"[a&&]", "'&&' at offset 2"},
        {"[&&a]", "nothing stands before"},
        {"[a&&&b]", "'&' stands behind"},
        {"[a&&^b]", "'^' stands behind"},
        {"[a-c-e]", "behind a range"},
        {R"([\w-x])", "no single character"},
        {R"([a-\d])", "no single character"},
        {"[a-[b]]", "no single character"},
        {"[b-a]", "ends before it begins"},
        {"[a-b--]", "'-'"},
        {R"([^\d[^\S]&&[^\P{L}[a]]])", "a class and more"},
        {"[[a-c&&[^[b]]]]", "too deep"},
        {R"([^\W[^\S1] &&[^a\W]\d])", "in a negated class"},
        {"[[:foo:]]", "POSIX"},
        {"[[:alpha]]", "POSIX"},
        {R"([\R])", "in a class"},
        {R"([\X])", "in a class"},
        {R"([\K])", "in a class"},
        {R"([\101])", "in a class"},
        {"a**", "quantifier of a quantifier"},
        {"a{2}{3}", "quantifier of a quantifier"},
        {"a+?+", "quantifier of a quantifier"},
        {"a{2,3}??", "quantifier of a quantifier"},
        {"(?=a)*", "assertion"},
        {"^*", "assertion"},
        {R"(\b+)", "assertion"},
        {"*a", "nothing stands before"},
        {"a|+", "nothing stands before"},
        {"a{3,1}", "ends before it begins"},
        {"a{1", "no interval"},
        {"a{,}", "no interval"},
        {"a{70000}", "more repeats"},
        {"(?i:ss)", "'ss' under (?i)"},
        {"(?i)fi", "'fi' under (?i)"},
        {"(?i:s(?:t))", "'st' under (?i)"},
        {"(?i:é)", "beyond ASCII"},
        {"(?i:[à-ü])", "beyond ASCII"},
        {R"((?i:[\p{Lu}]))", "in a class under (?i)"},
        {R"((?i:[\p{L}]))", "in a class under (?i)"},
        {R"((?i:[^\P{L}]))", "in a class under (?i)"},
        {"(?i:[a[b]])", "under (?i)"},
        {"(?i:[a-c&&b])", "under (?i)"},
        {"\xff", "UTF-8"},
        {"(?<=a+)b", "fixed length"},
        {"\\", "backslash"},
    };
    for (const auto& [pattern, why] : cases) {
        try {
            const Pattern taken(pattern);
            ADD_FAILURE() << pattern << " is taken for " << pcre2_of_onig(pattern);
        } catch (const std::exception& e) {
            EXPECT_NE(std::string(e.what()).find(why), std::string::npos) << pattern << ": " << e.what();
        }
    }
    EXPECT_THROW(Pattern(std::string(10000, '(')), std::exception);
    EXPECT_THROW(Pattern(std::string(10000, '[')), std::exception);
    std::string options;
    for (int i = 0; i < 10000; i++) options += "a(?i)";
    EXPECT_THROW(Pattern{options}, std::exception);
}

}  // namespace
}  // namespace sluice
