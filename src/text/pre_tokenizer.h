// Splits text into words by patterns, one stage each. A stage splits its input into the matches of its pattern and the
// slices between them. These pieces are the inputs of the next stage; those of the last stage are the words. Errors:
// Failure(Exit::data) where a pattern fails on the text.
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
    // Calls word(slice of text) for each word, from left to right; text: UTF-8.
    void split(std::string_view text, const std::function<void(std::string_view)>& word) const;
    // A split point of `text`, which continues: a word ends there, and each side alone has the same words as in the
    // whole. The first one from `from` on that is `accepted`; 0: none was found.
    size_t cut(std::string_view text, size_t from, const std::function<bool(size_t)>& accepted) const;

 private:
    // How far a stage has come: where its open piece begins, and where the search for its next match does.
    struct Progress {
        size_t piece = 0, search = 0;
    };
    struct Word {
        size_t end;    // offset in the text
        size_t stage;  // the first stage with a boundary at `end`
        bool within;   // whether `end` lies inside a match of an earlier stage
    };
    struct Run;
    void split(std::string_view text, size_t stage, const std::function<void(std::string_view)>& word) const;
    bool same_matches_after(std::string_view text, const Word& word) const;

    std::vector<Pattern> patterns_;
};

}  // namespace sluice
