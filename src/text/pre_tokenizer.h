// Splits text into words by patterns, one after another: what the pattern of a stage matches, and what lies between its
// matches, are the pieces that the next stage splits; the pieces of the last are the words. Errors: Failure(Exit::data)
// where a pattern fails on the text.
#pragma once
#include <functional>
#include <string_view>
#include <vector>

#include "text/pattern.h"

namespace sluice {

class PreTokenizer {
 public:
    void add_stage(Pattern pattern) { patterns_.push_back(std::move(pattern)); }
    bool splits() const { return !patterns_.empty(); }
    // word(text of it), from left to right; text: UTF-8.
    void split(std::string_view text, const std::function<void(std::string_view)>& word) const;
    // A place in `text`, which goes on, where a word ends, and where the words on both sides are the same when each
    // side stands alone; the first that is found at `from` or later and that is `accepted`. 0: none.
    size_t cut(std::string_view text, size_t from, const std::function<bool(size_t)>& accepted) const;

 private:
    // Of a stage: where its next piece begins, and where the next match could.
    struct Place {
        size_t piece = 0, search = 0;
    };
    struct Word {
        size_t end;    // in the text
        size_t stage;  // the first one with a boundary there
        bool within;   // a match of an earlier one
    };
    struct Run;
    void split(std::string_view text, size_t stage, const std::function<void(std::string_view)>& word) const;
    bool alike_behind(std::string_view text, const Word& word) const;

    std::vector<Pattern> patterns_;
};

}  // namespace sluice
