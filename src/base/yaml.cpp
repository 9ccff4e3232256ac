#include "base/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <optional>
#include <sstream>

#include "base/check.h"

namespace sluice {
namespace {

constexpr size_t kLargest = size_t{1} << 20, kDeepest = 32;

bool valid_utf8(const std::string& text) {
    for (size_t i = 0; i < text.size();) {
        const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
        const unsigned char c = byte(i);
        const size_t more = c < 0x80                ? 0
                            : c >= 0xC2 && c < 0xE0 ? 1
                            : c >= 0xE0 && c < 0xF0 ? 2
                            : c >= 0xF0 && c < 0xF5 ? 3
                                                    : 4;
        if (more == 4 || text.size() - i <= more) return false;
        for (size_t j = 1; j <= more; j++)
            if ((byte(i + j) & 0xC0) != 0x80) return false;
        i += more + 1;
    }
    return true;
}

// Builds the tree from the parser's events: unlike its own tree, they still show duplicate keys, aliases and tags.
class Builder : public YAML::EventHandler {
 public:
    explicit Builder(std::string file) : file_(std::move(file)) {}

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { put(mark, anchor, "", {}); }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { refuse(mark, "aliases are not supported"); }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        YamlNode node;
        node.kind = YamlNode::scalar;
        node.text = value;
        node.quoted = tag == "!";
        if (!node.quoted && (value.empty() || value == "~" || value == "null")) node.kind = YamlNode::null;
        const std::string told = node.quoted ? "" : tag;
        put(mark, anchor, told, std::move(node));
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(mark, tag, anchor, YamlNode::list);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(mark, tag, anchor, YamlNode::map);
    }
    void OnMapEnd() override { close(); }

    YamlNode root;

 private:
    struct Level {
        YamlNode node;
        std::optional<std::string> key;  // read, its value not yet
    };

    std::string place(const YAML::Mark& mark) const {
        return file_ + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
    }
    [[noreturn]] void refuse(const YAML::Mark& mark, const std::string& why) const {
        fail(Exit::config, place(mark) + ": " + why);
    }
    void check_plain(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
        if (anchor != 0) refuse(mark, "anchors are not supported");
        if (!tag.empty() && tag != "?") refuse(mark, "tags are not supported");
    }
    void put(const YAML::Mark& mark, YAML::anchor_t anchor, const std::string& tag, YamlNode node) {
        check_plain(mark, tag, anchor);
        node.origin = place(mark);
        add(mark, std::move(node));
    }
    void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
        check_plain(mark, tag, anchor);
        if (levels_.size() >= kDeepest) refuse(mark, "nested too deeply");
        const bool at_key = !levels_.empty() && levels_.back().node.kind == YamlNode::map && !levels_.back().key;
        if (at_key) refuse(mark, "a key must be a word");
        levels_.push_back({YamlNode::empty(kind, place(mark)), {}});
    }
    void close() {
        YamlNode node = std::move(levels_.back().node);
        levels_.pop_back();
        add({}, std::move(node));
    }
    void add(const YAML::Mark& mark, YamlNode node) {
        if (levels_.empty()) {
            root = std::move(node);
            return;
        }
        Level& level = levels_.back();
        if (level.node.kind == YamlNode::list) {
            level.node.items.push_back(std::move(node));
        } else if (!level.key) {
            if (node.kind != YamlNode::scalar) refuse(mark, "a key must be a word");
            if (node.text == "<<") refuse(mark, "merge keys are not supported; use base: FILE");
            if (level.node.find(node.text)) refuse(mark, "key '" + node.text + "' stands twice");
            level.key = node.text;
        } else {
            level.node.fields.emplace_back(*level.key, std::move(node));
            level.key.reset();
        }
    }

    std::string file_;
    std::vector<Level> levels_;
};

void check_text(const std::string& text, const std::string& file) {
    if (text.size() > kLargest) fail(Exit::config, file + ": larger than 1 MiB");
    if (text.find('\0') != std::string::npos) fail(Exit::config, file + ": holds a NUL byte");
    if (!valid_utf8(text)) fail(Exit::config, file + ": is not UTF-8");
    std::istringstream lines(text);
    std::string line;
    for (int number = 1; std::getline(lines, line); number++)
        if (const size_t at = line.find_first_not_of(' '); at != std::string::npos && line[at] == '\t')
            fail(Exit::config, file + ":" + std::to_string(number) + ":" + std::to_string(at + 1) +
                                   ": a tab in the indentation; use spaces");
}

}  // namespace

YamlNode* YamlNode::find(const std::string& key) {
    for (auto& [name, node] : fields)
        if (name == key) return &node;
    return nullptr;
}

YamlNode YamlNode::empty(Kind kind, std::string origin) {
    YamlNode node;
    node.kind = kind;
    node.origin = std::move(origin);
    return node;
}

YamlNode parse_yaml(const std::string& text, const std::string& file) {
    check_text(text, file);
    Builder builder(file);
    try {
        std::istringstream in(text);
        YAML::Parser parser(in);
        if (!parser.HandleNextDocument(builder)) return builder.root;
        Builder second(file);
        if (parser.HandleNextDocument(second)) fail(Exit::config, file + ": holds more than one document");
    } catch (const YAML::Exception& e) {
        fail(Exit::config,
             file + ":" + std::to_string(e.mark.line + 1) + ":" + std::to_string(e.mark.column + 1) + ": " + e.msg);
    }
    return builder.root;
}

}  // namespace sluice
