#include "config/yaml.h"

#include <gtest/gtest.h>

#include <sstream>

#include "base/check.h"
#include "base/format.h"
#include "base/utf8.h"

namespace sluice {
namespace {

Node read(const std::string& text) {
    Diagnostics none;
    return parse_yaml(text, "f.yaml", none);
}

// The error of a text, or "" when it is read.
std::string error_of(const std::string& text) {
    try {
        Diagnostics diagnostics;
        parse_yaml(text, "f.yaml", diagnostics);
        diagnostics.raise();
    } catch (const Failure& e) {
        EXPECT_EQ(e.code(), Exit::config);
        std::istringstream lines(e.what());
        for (std::string line; std::getline(lines, line);) EXPECT_TRUE(line.starts_with("f.yaml:")) << line;
        return e.what();
    }
    return "";
}

// at: "LINE:COLUMN", or "LINE:" where the column is the parser's own choice.
void expect_refused(const std::string& text, const std::string& at, const std::string& why) {
    const std::string error = error_of(text);
    EXPECT_TRUE(error.starts_with("f.yaml:" + at + (at.ends_with(':') ? "" : ": ")))
        << printable(text) << " -> " << error;
    EXPECT_NE(error.find(why), std::string::npos) << printable(text) << " -> " << error;
}

TEST(Yaml, KeepsOrderKindsAndPlaces) {
    const Node root = read("b: 1\na:\n  - x\n  - {k: 'v'}\nz:\n");
    ASSERT_EQ(root.kind, Node::Kind::map);
    ASSERT_EQ(root.children.size(), 3u);
    EXPECT_EQ(root.children[0].key, "b");
    EXPECT_EQ(where(root.children[0].mark), "f.yaml:1:4");
    const Node* a = root.find("a");
    ASSERT_TRUE(a && a->kind == Node::Kind::list);
    EXPECT_EQ(where(a->key_mark), "f.yaml:2:1");
    EXPECT_EQ(where(a->children[0].mark), "f.yaml:3:5");
    EXPECT_FALSE(a->children[0].quoted);
    const Node* k = a->children[1].find("k");
    ASSERT_TRUE(k);
    EXPECT_TRUE(k->quoted);
    EXPECT_EQ(where(k->mark), "f.yaml:4:9");
    EXPECT_EQ(root.find("z")->kind, Node::Kind::null);
    EXPECT_EQ(root.find("y"), nullptr);
}

TEST(Yaml, QuotesMakeText) {
    const Node root = read("[12, '12', \"12\", null, 'null', ~, true]");
    const std::vector<bool> quoted{false, true, true, false, true, false, false};
    for (size_t i = 0; i < quoted.size(); i++) EXPECT_EQ(root.children[i].quoted, quoted[i]) << i;
    EXPECT_EQ(root.children[3].kind, Node::Kind::null);
    EXPECT_EQ(root.children[4].kind, Node::Kind::scalar);
    EXPECT_EQ(root.children[5].kind, Node::Kind::null);
    EXPECT_TRUE(read("t: |\n  a\n  b\n").find("t")->quoted);
}

TEST(Yaml, EmptyTextIsNull) {
    for (auto text : {"", "\n\n", "# only a comment\n", "---\n", "\xEF\xBB\xBF"})
        EXPECT_EQ(read(text).kind, Node::Kind::null) << text;
    EXPECT_EQ(where(read("\xEF\xBB\xBF"
                         "a: 1")
                        .find("a")
                        ->mark),
              "f.yaml:1:4");
}

// The place reported for the first missing value.
std::string missing(const Node& node) {
    if (node.kind == Node::Kind::null) return where(node.mark);
    for (auto& child : node.children)
        if (const std::string at = missing(child); !at.empty()) return at;
    return "";
}

TEST(Yaml, MissingValuesStandBehindTheirKey) {
    const std::pair<const char*, const char*> cases[] = {
        {"a:\nb: 1\n", "1:3"},
        {"a:\n", "1:3"},
        {"a:", "1:3"},
        {"a: 1\nb:  ", "2:3"},
        {"a: 1\nb:  # c", "2:3"},
        {"a: 1\nb:\n\n# c\n  # d", "2:3"},
        {"a:\n  b: 1\n  c:", "3:5"},
        {"a:   \n\n\nb: 1", "1:3"},
        {"a:  # why: - not\n\n# b\nb: 1", "1:3"},
        {"a: 1\nb:\n# c\n", "2:3"},
        {"'a # b':\nb: 1", "1:9"},
        {"a#b:  #\nc: 1", "1:5"},
        {"a:\n  b:\n  c: 1\n", "2:5"},
        {"a:\n  b:\nc: 1\n", "2:5"},
        {"a:\n  b:\n    c:\n\n\nd: 1", "3:7"},
        {"a:\r\nb: 1\r\n", "1:3"},
        {"- 1\n-\n- 2\n", "2:2"},
        {"- 1\n-\n", "2:2"},
        {"- 1\n-", "2:2"},
        {"- 1\n-  # none\n# none\n- 2", "2:2"},
        {"a:\n  -\nb: 1", "2:4"},
        {"a:\n  - b:\n    c: 1\n", "2:7"},
        {"a:\n  - b:\n  - c: 1\n", "2:7"},
        {"{a: , b: 1}", "1:4"},
        {"{a: 1, b: }", "1:10"},
        {"{a: 1, b}", "1:9"},
        {"{a:\n\n, b: 1}", "1:4"},
        {"x: {a:  # none\n}\ny: 1", "1:7"},
        {"x: {a: 1,\n  b:\n}\ny: 1", "2:5"},
        {"---\na:\nb: 1", "2:3"},
        {"a:\n...\n", "1:3"},
        {"a: null\nb: 1", "1:4"},  // not missing: where it stands
        {"a:\n  ~\nb: 1", "2:3"},
        {"- 1\n- Null", "2:3"},
    };
    for (const auto& [text, at] : cases) EXPECT_EQ(missing(read(text)), std::string("f.yaml:") + at) << text;
    EXPECT_EQ(read("a: ~").children[0].text, "~");
    EXPECT_EQ(read("a:\n").children[0].text, "");
}

TEST(Yaml, ASecondDocumentIsToldWhereItBegins) {
    for (const auto& [text, at] : {std::pair{"a: 1\n---\n\n# c\nb: 1\n", "2:1"},
                                   {"a: 1\n\n\n--- {b: 1}\n", "4:1"},
                                   {"a: 1\n---\n", "2:1"},
                                   {"a: 1\n---", "2:1"},
                                   {"---\na: 1\n---\n---\n", "3:1"},
                                   {"a:\n---\nb: 1", "2:1"},
                                   {"a: 1\n...\n---\nb: 1", "3:1"},
                                   {"a: 1\n---\nb: [1, 2\nc: }\n", "2:1"},
                                   {"a: 1\n---\nb: *x\n", "2:1"}})
        expect_refused(text, at, "a second document");
    EXPECT_EQ(error_of("---\na: 1\n...\n"), "");
    // Errors of the first document are still reported; the second's depth does not matter.
    const std::string deep(size_t(kMaxYamlDepth) + 1, '[');
    expect_refused("a: 1\n---\n" + deep + std::string(deep.size(), ']'), "2:1", "a second document");
    expect_refused(deep + std::string(deep.size(), ']') + "\n---\na: 1", "1:33", "deeper");
}

TEST(Yaml, RefusesWhatSurprises) {
    expect_refused("a: &x 1", "1:", "anchor");
    expect_refused("&x a: 1", "1:1", "anchor");
    expect_refused("a: *x", "1:", "");
    expect_refused("a: !!str 1", "1:4", "tag");
    expect_refused("a: ! 1", "1:4", "tag");
    expect_refused("a: ! '1'", "1:4", "tag");
    expect_refused("a: !t [1]", "1:4", "tag");
    expect_refused("a: !t {b: 1}", "1:4", "tag");
    expect_refused("a: 1\n<<: {b: 1}", "2:1", "merge");
    expect_refused("%YAML 1.2\n---\na: 1", "1:1", "directive");
    expect_refused("a: 1\n---\nb: 1", "2:1", "second document");
    expect_refused("[1]\n[2]", "2:", "");
    expect_refused("a: 1\na: 2", "2:1", "twice");
    expect_refused("{a: 1, 'a': 2}", "1:8", "twice");
    expect_refused("a:\n\tb: 1", "2:1", "tab");
    expect_refused("a:\n  \tb: 1", "2:3", "tab");
    expect_refused("[a]: 1", "1:", "key");
    expect_refused("? {a: 1}\n: 1", "1:", "key");
    expect_refused("null: 1", "1:1", "key");
    expect_refused("a: \x01", "1:4", "control");
    expect_refused(std::string("a: \0b", 5), "1:4", "NUL");
    expect_refused("a: \"x\\0y\"", "1:4", "NUL");
    expect_refused("a: [1, 2", "1:", "");
    expect_refused("a: 'open", "1:", "");
    expect_refused("a: 1\n b: 2\n", "2:", "");
    expect_refused("a: 1 : 2", "1:", "");
}

TEST(Yaml, TellsAllInOneGo) {
    Diagnostics diagnostics;
    const Node root = parse_yaml("a: &x 1\nb: *x\na: 2\nc: !t 3\n<<: {}\nd: 4\n---\ne: 5\n", "f.yaml", diagnostics);
    ASSERT_EQ(root.children.size(), 4u);
    EXPECT_TRUE(root.find("b")->wrong);
    EXPECT_EQ(root.find("d")->text, "4");
    diagnostics.add(Mark{std::make_shared<const std::string>("g.yaml"), 1, 1}, "after f.yaml");
    diagnostics.add(root.find("d")->mark, "in its place");
    try {
        diagnostics.raise();
        FAIL();
    } catch (const Failure& e) {
        const std::vector<std::string> starts{"f.yaml:1:4: anchor", "f.yaml:2:4: alias", "f.yaml:3:1: key 'a'",
                                              "f.yaml:4:4: tag",    "f.yaml:5:1: merge", "f.yaml:6:4: in its place",
                                              "f.yaml:7:1: a sec",  "g.yaml:1:1: after"};
        std::istringstream lines(e.what());
        std::string line;
        for (auto& start : starts) EXPECT_TRUE(std::getline(lines, line) && line.starts_with(start)) << line;
        EXPECT_FALSE(std::getline(lines, line)) << line;
    }
}

TEST(Yaml, RefusesWhatIsNotUtf8) {
    for (auto bytes : {"\x80", "\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xE0\x80\xAF", "\xF5\x80\x80\x80",
                       "\xF0\x80\x80\xAF", "\xF4\x90\x80\x80", "\xFF\xFE", "\xE2\x82"}) {
        EXPECT_FALSE(valid_utf8(bytes));
        expect_refused(std::string("a: ") + bytes, "1:4", "UTF-8");
    }
    for (auto bytes : {"", "a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF"})
        EXPECT_TRUE(valid_utf8(bytes)) << bytes;
}

TEST(Yaml, BoundsSizeAndDepth) {
    EXPECT_EQ(error_of("a: " + std::string(kMaxYamlBytes - 3, 'x')), "");
    expect_refused("a: " + std::string(kMaxYamlBytes - 2, 'x'), "1:1", "1 MiB");
    const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    EXPECT_EQ(error_of(nested(kMaxYamlDepth)), "");
    expect_refused(nested(kMaxYamlDepth + 1), "1:33", "deeper");
    expect_refused(std::string(300000, '['), "1:", "");
    expect_refused("a: " + std::string(300000, '{'), "1:", "");
    std::string dashes;
    for (int i = 0; i < 40; i++) dashes += "- ";
    expect_refused(dashes + "a", "1:", "deeper");
}

TEST(Yaml, ValuesOfACommandLineNameNoPlace) {
    Diagnostics none;
    EXPECT_EQ(where(parse_yaml_value("[a]", "command line: k=[a]", none).children[0].mark), "command line: k=[a]");
    try {
        parse_yaml_value("[a", "command line: k=[a", none);
        FAIL();
    } catch (const Failure& e) { EXPECT_TRUE(std::string(e.what()).starts_with("command line: k=[a: ")) << e.what(); }
}

TEST(Yaml, FilesThatCannotBeRead) {
    for (auto [file, why] : {std::pair{"/nonexistent/none.yaml", "no such file"}, {"/", "folder"}}) try {
            Diagnostics none;
            read_yaml(file, none);
            FAIL() << file;
        } catch (const Failure& e) {
            EXPECT_EQ(e.code(), Exit::config);
            EXPECT_NE(std::string(e.what()).find(file), std::string::npos);
            EXPECT_NE(std::string(e.what()).find(why), std::string::npos) << e.what();
        }
}

TEST(Yaml, StringsReadBackAsThemselves) {
    for (const std::string text : {"",
                                   "a",
                                   "true",
                                   "Null",
                                   "~",
                                   "12",
                                   "1e3",
                                   "-",
                                   "- a",
                                   "a: b",
                                   "a #b",
                                   "#",
                                   "'",
                                   "\"",
                                   "\\",
                                   "\\n",
                                   "a\nb\n",
                                   "\t",
                                   "\r\n",
                                   " lead",
                                   "trail ",
                                   "*x",
                                   "&x",
                                   "!t",
                                   "%d",
                                   "@",
                                   "`",
                                   "[",
                                   "{",
                                   "?",
                                   "|",
                                   ">",
                                   ",",
                                   "...",
                                   "---",
                                   "<<",
                                   "=",
                                   ".inf",
                                   "0x1f",
                                   "é€😀",
                                   "\x01\x7f\x1b",
                                   "runs/a-b_c.yaml",
                                   "/abs/path",
                                   "a  b",
                                   "y",
                                   "No",
                                   "on"}) {
        const Node n = read("k: " + yaml_string(text) + "\n");
        EXPECT_EQ(n.find("k")->kind, Node::Kind::scalar) << text;
        EXPECT_EQ(n.find("k")->text, text);
        EXPECT_EQ(read("[" + yaml_string(text) + "]").children[0].text, text);
    }
    EXPECT_EQ(yaml_string("runs/a"), "runs/a");
}

TEST(Yaml, PrintableIsOneShortLine) {
    EXPECT_EQ(printable("a\nb\tc"), "a b c");
    EXPECT_EQ(printable("abcdef", 3), "abc...");
    EXPECT_EQ(printable("ab\xC3\xA9", 3), "ab...");  // no half character
}

// Whatever the bytes: a tree or one line of error.
TEST(Yaml, SurvivesMangledText) {
    const std::string seed =
        "a: {b: [1, 'x', \"y\\n\"], c: ~}\nd:\n  - e: |\n      t\n    f: >-\n      u\n  - ? k\n    : v\n#z\n";
    const std::string bytes = "{}[]:,-?&*!|>'\"%@`#\n\t \\x~<.\x80\xC3";
    uint32_t state = 1;
    auto next = [&](size_t n) { return (state = state * 1664525u + 1013904223u, (state >> 8) % n); };
    for (int i = 0; i < 20000; i++) {
        std::string text = seed;
        for (size_t k = next(6) + 1; k > 0; k--) {
            const size_t at = next(text.size());
            if (next(3) == 0)
                text.erase(at, next(8));
            else
                text.insert(at, 1, bytes[next(bytes.size())]);
            if (text.empty()) text = "a";
        }
        error_of(text);
    }
}

}  // namespace
}  // namespace sluice
