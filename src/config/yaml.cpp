// yaml-cpp's events into Nodes. Its own nodes are not used: they drop duplicate keys and resolve aliases.
#include "config/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "base/check.h"
#include "base/format.h"
#include "base/utf8.h"
#include "config/yaml_missing.h"

namespace sluice {
namespace {

using Source = std::shared_ptr<const std::string>;
constexpr size_t kMaxDiagnostics = 100;  // printed at most

// Builds the tree; text is what the parser reads, whose positions are byte offsets.
class Builder : public YAML::EventHandler {
 public:
    Builder(const std::string& text, Source source, bool lines, Diagnostics& diagnostics)
        : text_(text), source_(std::move(source)), lines_(lines), diagnostics_(diagnostics) {}

    Mark mark(const YAML::Mark& m) const {
        return lines_ && !m.is_null() ? Mark{source_, m.line + 1, m.column + 1} : Mark{source_, 0, 0};
    }
    void error(const YAML::Mark& m, const std::string& what) { diagnostics_.add(mark(m), what); }
    Node take() { return std::move(root_); }
    bool began() const { return began_; }
    Mark start() const { return start_; }  // of the document: its --- where it has one

    void OnDocumentStart(const YAML::Mark& m) override {
        began_ = true;
        start_ = mark(m);
    }
    void OnDocumentEnd() override {}
    void OnAlias(const YAML::Mark& m, YAML::anchor_t) override {
        error(m, "aliases (*name) are not supported: write the value out");
        Node n = node(m, Node::Kind::null);
        n.wrong = true;
        add(std::move(n));
    }
    void OnAnchor(const YAML::Mark& m, const std::string& name) override {
        error(m, "anchors are not supported: remove '&" + printable(name) + "'");
    }
    void OnNull(const YAML::Mark& m, YAML::anchor_t) override {
        Node n = node(m, Node::Kind::null);
        if (m.pos >= 0 && size_t(m.pos) <= text_.size()) {
            n.text = null_word(text_, size_t(m.pos));
            if (n.text.empty() && lines_) n.mark = mark_before(m, missing_at(text_, size_t(m.pos)));
        }
        add(std::move(n));
    }
    void OnScalar(const YAML::Mark& m, const std::string& tag, YAML::anchor_t, const std::string& value) override {
        check_tag(m, tag == "?" || tag == "!" ? "" : tag);
        if (value.find('\0') != std::string::npos) error(m, "text holds a NUL character");
        Node n = node(m, Node::Kind::scalar);
        n.quoted = tag == "!";
        n.text = value;
        add(std::move(n));
    }
    void OnSequenceStart(const YAML::Mark& m, const std::string& tag, YAML::anchor_t,
                         YAML::EmitterStyle::value) override {
        open(m, tag, Node::Kind::list);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& m, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
        open(m, tag, Node::Kind::map);
    }
    void OnMapEnd() override { close(); }

 private:
    struct Open {
        Node node;
        std::unordered_set<std::string> keys;
        bool has_key = false, drop = false;  // drop: the value of a key with an error
        std::string key;
        Mark key_mark;
    };

    Node node(const YAML::Mark& m, Node::Kind kind) const {
        Node n;
        n.kind = kind;
        n.mark = mark(m);
        return n;
    }
    // The place of a byte before a mark.
    Mark mark_before(const YAML::Mark& m, size_t at) const {
        const auto from = text_.begin() + std::ptrdiff_t(at), to = text_.begin() + m.pos;
        const auto lines = int(std::count(from, to, '\n'));
        // At the end of the text yaml-cpp has no column.
        if (lines == 0 && size_t(m.pos) < text_.size()) return {source_, m.line + 1, m.column + 1 - int(to - from)};
        const size_t start = at == 0 ? 0 : text_.rfind('\n', at - 1) + 1;
        return {source_, m.line + 1 - lines, int(at - start) + 1};
    }
    // yaml-cpp reports `! text` and "text" alike: only the character at the mark differs.
    void check_tag(const YAML::Mark& m, const std::string& tag) {
        const bool marked = m.pos >= 0 && size_t(m.pos) < text_.size() && text_[m.pos] == '!';
        if (marked || !(tag.empty() || tag == "?")) error(m, "tags (!name) are not supported: remove it");
    }
    void open(const YAML::Mark& m, const std::string& tag, Node::Kind kind) {
        check_tag(m, tag);
        if (int(stack_.size()) >= kMaxYamlDepth)
            diagnostics_.stop(mark(m), "nested deeper than " + std::to_string(kMaxYamlDepth) + " levels");
        stack_.push_back(Open{node(m, kind), {}, false, false, {}, {}});
    }
    void close() {
        check(!stack_.empty(), "yaml-cpp closed what it did not open");
        Node done = std::move(stack_.back().node);
        stack_.pop_back();
        add(std::move(done));
    }
    void add(Node n) {
        if (stack_.empty()) {
            root_ = std::move(n);
            return;
        }
        Open& top = stack_.back();
        if (top.node.kind == Node::Kind::map && !top.has_key) return add_key(top, n);
        if (top.node.kind == Node::Kind::map) {
            n.key = top.key;
            n.key_mark = top.key_mark;
            top.has_key = false;
        }
        if (!top.drop) top.node.children.push_back(std::move(n));
        top.drop = false;
    }
    void add_key(Open& top, const Node& n) {
        std::string why;
        if (n.kind != Node::Kind::scalar)
            why = "a key must be a word";
        else if (n.text == "<<")
            why = "merge keys (<<) are not supported: use 'base: other.yaml'";
        else if (!top.keys.insert(n.text).second)
            why = "key " + in_quotes(n.text) + " is given twice in the same map: keep one";
        if (!why.empty() && !n.wrong) diagnostics_.add(n.mark, why);
        top.drop = !why.empty();
        top.has_key = true;
        top.key = n.text;
        top.key_mark = n.mark;
    }

    const std::string& text_;
    Source source_;
    bool lines_;
    Diagnostics& diagnostics_;
    Node root_;
    std::vector<Open> stack_;
    Mark start_;
    bool began_ = false;
};

// Errors of the bytes themselves, before they are parsed.
void check_bytes(const std::string& text, const Source& source, bool lines, Diagnostics& diagnostics) {
    bool readable = true;
    auto error = [&](int line, size_t column, const std::string& what) {
        readable = false;
        diagnostics.add(lines ? Mark{source, line, int(column)} : Mark{source, 0, 0}, what);
    };
    if (text.size() > kMaxYamlBytes) error(1, 1, "larger than 1 MiB: not a config");
    int line = 1;
    size_t start = 0;
    bool indentation = true;
    const size_t bad = invalid_utf8(text);
    for (size_t i = 0; i < text.size() && i < kMaxYamlBytes; i++) {
        const auto c = static_cast<unsigned char>(text[i]);
        const size_t column = i - start + 1;
        if (i == bad) {
            error(line, column, "not valid UTF-8: save the file as UTF-8");
            break;
        }
        if (c == '\t' && indentation) error(line, column, "a tab in the indentation: use spaces");
        if (c == '\0') error(line, column, "a NUL character");
        if ((c > 0 && c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
            error(line, column, "a control character");
        if (c == '%' && column == 1) error(line, column, "directives (%NAME) are not supported");
        if (c == '\n') line++, start = i + 1;
        indentation = c == '\n' || (indentation && (c == ' ' || c == '\t'));
    }
    if (!readable) diagnostics.raise();
}

Node parse(std::string text, const std::string& name, bool lines, Diagnostics& diagnostics) {
    const auto source = std::make_shared<const std::string>(name);
    if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
    check_bytes(text, source, lines, diagnostics);
    Builder builder(text, source, lines, diagnostics);
    std::istringstream in(text);
    Node root;
    root.mark = Mark{source, lines ? 1 : 0, lines ? 1 : 0};
    Diagnostics unread;  // a second document is an error whatever it holds
    Builder second(text, source, lines, unread);
    try {
        YAML::Parser parser(in);
        if (!parser.HandleNextDocument(builder)) return root;
        root = builder.take();
        parser.HandleNextDocument(second);
    } catch (const YAML::Exception& e) {
        if (!second.began())
            diagnostics.stop(builder.mark(e.mark), e.msg + ": check brackets, quotes and indentation up to here");
    } catch (const Failure&) {
        if (!second.began()) throw;
    }
    if (second.began()) diagnostics.add(second.start(), "a second document: a file holds one");
    return root;
}

std::string source_of(const Mark& mark) { return mark.source ? *mark.source : "?"; }

// Characters of a plain scalar after the first.
bool plain_character(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' || c == '/';
}

bool plain_is_safe(const std::string& text) {
    if (text.empty() || !(std::isalpha(static_cast<unsigned char>(text[0])) || text[0] == '_' || text[0] == '/'))
        return false;
    if (!std::all_of(text.begin(), text.end(), plain_character)) return false;
    std::string low = text;
    std::transform(low.begin(), low.end(), low.begin(), [](unsigned char c) { return std::tolower(c); });
    for (auto word : {"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
        if (low == word) return false;
    return true;
}

}  // namespace

std::string where(const Mark& mark) {
    const std::string source = source_of(mark);
    if (mark.line == 0) return source;
    return source + ":" + std::to_string(mark.line) + ":" + std::to_string(mark.column);
}

const Node* Node::find(const std::string& name) const {
    for (auto& child : children)
        if (kind == Kind::map && child.key == name) return &child;
    return nullptr;
}
Node* Node::find(const std::string& name) { return const_cast<Node*>(std::as_const(*this).find(name)); }

void Diagnostics::add(const Mark& mark, const std::string& what) { all_.push_back({mark, where(mark) + ": " + what}); }

void Diagnostics::raise() const {
    if (all_.empty()) return;
    // Sources in the order of their first error.
    std::map<std::string, size_t> sources;
    for (auto& diagnostic : all_) sources.emplace(source_of(diagnostic.mark), sources.size());
    std::vector<Diagnostic> sorted = all_;
    const auto place = [&](const Diagnostic& c) {
        return std::tuple(sources.at(source_of(c.mark)), c.mark.line, c.mark.column);
    };
    std::stable_sort(sorted.begin(), sorted.end(), [&](auto& a, auto& b) { return place(a) < place(b); });
    std::string lines = sorted[0].text;
    for (size_t i = 1; i < sorted.size() && i < kMaxDiagnostics; i++) lines += "\n" + sorted[i].text;
    if (sorted.size() > kMaxDiagnostics) lines += "\nand " + std::to_string(sorted.size() - kMaxDiagnostics) + " more";
    fail(Exit::config, lines);
}

void Diagnostics::stop(const Mark& mark, const std::string& what) {
    add(mark, what);
    raise();
    std::abort();
}

Node parse_yaml(const std::string& text, const std::string& name, Diagnostics& diagnostics) {
    return parse(text, printable(name, 4096), true, diagnostics);
}

Node parse_yaml_value(const std::string& text, const std::string& source, Diagnostics& diagnostics) {
    return parse(text, source, false, diagnostics);
}

Node read_yaml(const std::filesystem::path& file, Diagnostics& diagnostics) {
    const std::string name = printable(file.string(), 4096);
    std::error_code error;
    if (!std::filesystem::exists(file, error)) fail(Exit::config, name + ": no such file");
    if (std::filesystem::is_directory(file, error)) fail(Exit::config, name + ": is a folder, not a file");
    std::ifstream in(file, std::ios::binary);
    std::string text(kMaxYamlBytes + 1, '\0');
    if (in) in.read(text.data(), std::streamsize(text.size()));
    if (!in.is_open() || in.bad()) fail(Exit::config, name + ": cannot be read: check its permissions");
    text.resize(size_t(in.gcount()));
    return parse_yaml(text, file.string(), diagnostics);
}

std::string yaml_string(const std::string& text) {
    if (plain_is_safe(text)) return text;
    static const char* kHex = "0123456789ABCDEF";
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            out += std::string("\\") + c;
        else if (c == '\n')
            out += "\\n";
        else if (c == '\t')
            out += "\\t";
        else if (byte < 0x20 || byte == 0x7f)
            out += std::string("\\x") + kHex[byte >> 4] + kHex[byte & 15];
        else
            out += c;
    }
    return out + "\"";
}

}  // namespace sluice
