// Parses a strict subset of YAML into a tree of nodes with their places, from yaml-cpp's events. Errors beside those of
// yaml-cpp: more than 1 MiB, invalid UTF-8, NUL, tabs in indentation, anchors, aliases, tags, `<<`, directives, several
// documents, duplicate keys, keys that are no word, nesting deeper than 32. Errors: Failure(Exit::config), every line
// of it "FILE:LINE:COLUMN: what".
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

constexpr size_t kMaxYamlBytes = 1 << 20;
constexpr int kMaxYamlDepth = 32;

// Lines and columns count from 1, columns in bytes; a missing value has its place after the key's ':' or the
// list's '-'. Line 0: the source is a single value, as on a command line.
struct Mark {
    std::shared_ptr<const std::string> source;
    int line = 0, column = 0;
};
std::string where(const Mark& mark);  // "FILE:LINE:COLUMN", or the source alone for line 0

// Errors, collected so that all are reported at once.
class Diagnostics {
 public:
    void add(const Mark& mark, const std::string& what);  // what: the text after "WHERE: "
    void raise() const;  // if any: Failure(Exit::config), a line each, in order of place
    [[noreturn]] void stop(const Mark& mark, const std::string& what);  // adds and raises: the rest cannot be read

 private:
    struct Diagnostic {
        Mark mark;
        std::string text;
    };
    std::vector<Diagnostic> all_;
};

struct Node {
    enum class Kind { null, scalar, list, map };
    Kind kind = Kind::null;
    bool quoted = false;  // a scalar in quotes, or a block of text: never a number, a truth value or null
    bool wrong = false;   // reported already: there is no value to read
    std::string text;     // of a scalar; of a null as it is written, empty where a value is missing
    std::string key;      // in a map
    Mark mark, key_mark;
    std::vector<Node> children;  // of a list or a map, in order

    const Node* find(const std::string& name) const;
    Node* find(const std::string& name);
};

// An empty text is a null node. An error after which the rest can be read is added to the diagnostics; one after which
// it cannot (no file, broken syntax) raises them all.
Node parse_yaml(const std::string& text, const std::string& name, Diagnostics& diagnostics);
Node read_yaml(const std::filesystem::path& file, Diagnostics& diagnostics);
// One value, whose marks and errors name `source` without line and column.
Node parse_yaml_value(const std::string& text, const std::string& source, Diagnostics& diagnostics);

// Text as a YAML scalar that reads back as the same string: plain where that is safe, else in double quotes.
std::string yaml_string(const std::string& text);

}  // namespace sluice
