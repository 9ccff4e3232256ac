// A regular expression of a tokenizer, as the field writes them (Perl's syntax, Unicode classes). Runs by PCRE2 with
// limits, since patterns come from files. Matching is safe from any number of threads. Errors: Failure(Exit::data).
#pragma once
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
    // visit(begin, end) for every match in valid UTF-8, from left to right; empty ones are passed over.
    void each_match(std::string_view text, const std::function<void(size_t, size_t)>& visit) const;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
