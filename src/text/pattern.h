// A regular expression of a tokenizer, in the syntax of tokenizer.json files (data_tools/onig_syntax.h). Runs by PCRE2
// with limits, since patterns come from files. Matching is safe from any number of threads. Errors: std::runtime_error
// where a pattern is not taken; Failure(Exit::data) where it fails on a text.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace sluice {

class Pattern {
 public:
    explicit Pattern(const std::string& pattern);
    ~Pattern();
    Pattern(Pattern&&) noexcept;
    using Visit = std::function<void(size_t begin, size_t end)>;
    // Every match in valid UTF-8 that begins at `from` or later, from left to right: empty ones too, but not where
    // the match before ended.
    void each_match(std::string_view text, const Visit& visit, size_t from = 0) const;
    // Of a text that goes on after `text`: the matches that stand whatever follows. Returns where the first that hangs
    // on what follows could begin.
    size_t each_certain_match(std::string_view text, const Visit& visit, size_t from = 0) const;
    // How many characters before its beginning a match may hang on; kUnbounded: all.
    static constexpr size_t kUnbounded = size_t{1} << 20;
    size_t lookbehind() const;

 private:
    size_t scan(std::string_view text, const Visit& visit, size_t from, uint32_t options) const;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
