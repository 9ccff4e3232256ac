// A regular expression of a tokenizer, in the syntax of tokenizer.json files (text/onig_syntax.h). PCRE2 runs it with
// limits, since patterns come from files. Any number of threads may match at once. Errors: std::runtime_error where a
// pattern is not supported; Failure(Exit::data) where it fails on a text.
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
    // Visits every match in valid UTF-8 that begins at `from` or later, from left to right: also empty ones, but not at
    // the end of the match before.
    void each_match(std::string_view text, const Visit& visit, size_t from = 0) const;
    // For a text that continues after `text`: visits the matches that hold whatever follows. Returns the offset where
    // the first one could begin that depends on what follows.
    size_t each_certain_match(std::string_view text, const Visit& visit, size_t from = 0) const;
    // On how many characters before its beginning a match may depend; kUnbounded: on all.
    static constexpr size_t kUnbounded = size_t{1} << 20;
    size_t lookbehind() const;

 private:
    size_t scan(std::string_view text, const Visit& visit, size_t from, uint32_t options) const;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
