#include "text/pre_tokenizer.h"

#include <algorithm>

#include "base/utf8.h"

namespace sluice {
namespace {

using Spans = std::vector<std::pair<size_t, size_t>>;

// The certain matches from `from` on, up to the first that ends at `until` or after it; empty where none does.
Spans certain_matches(const Pattern& pattern, std::string_view text, size_t from, size_t until) {
    Spans matches;
    bool reached = false;
    pattern.each_certain_match(
        text,
        [&](size_t begin, size_t end) {
            if (!reached) matches.emplace_back(begin, end);
            reached = reached || end >= until;
        },
        from);
    return reached ? matches : Spans{};
}

}  // namespace

// Splits a text, stage by stage. It can resume where an earlier run, over the beginning of the text, stopped:
// `progress` has an entry per stage. The open piece of a stage is the one whose end is not known; the next stage's
// entry lies in it.
struct PreTokenizer::Run {
    const std::vector<Pattern>& patterns;
    std::string_view text;
    std::vector<Word>* words;  // null: only the progress is wanted

    // Splits text[begin, end), a complete piece of the stage before. progress: to resume from, or null.
    void split_all(size_t stage, size_t begin, size_t end, const std::vector<Progress>* progress) {
        if (!words || begin == end) return;
        if (stage == patterns.size()) return words->push_back({end, stage, false});
        Progress state = progress ? (*progress)[stage] : Progress{begin, begin};
        const auto piece_to = [&](size_t to, bool matched) {  // ends the open piece at `to`; only the first resumes
            split_piece(stage, state.piece, to, progress, matched);
            progress = nullptr;
            state.piece = to;
        };
        patterns[stage].each_match(
            text.substr(begin, end - begin),
            [&](size_t from, size_t to) {
                piece_to(begin + from, false);
                piece_to(begin + to, true);
            },
            state.search - begin);
        piece_to(end, false);
    }
    // Splits a complete piece of `stage` by the later stages. Its last word ends at a boundary of `stage`. If the piece
    // is a match, its other words end within that.
    void split_piece(size_t stage, size_t begin, size_t end, const std::vector<Progress>* progress, bool matched) {
        if (!words || begin == end) return;
        const size_t before = words->size();
        split_all(stage + 1, begin, end, progress);
        if (words->size() == before) return;  // the earlier run got to its end
        for (size_t i = before; matched && i + 1 < words->size(); i++) (*words)[i].within = true;
        words->back().stage = stage;
    }
    // Splits what is certain of text[begin, end), the beginning of an open piece of the stage before. resumed: the
    // progress of this and later stages lies in it.
    void split_certain(size_t stage, size_t begin, size_t end, std::vector<Progress>& progress, bool resumed) {
        if (stage == patterns.size()) return;
        Progress& state = progress[stage];
        if (!resumed) state = {begin, begin};
        const auto piece_to = [&](size_t to, bool matched) {
            split_piece(stage, state.piece, to, resumed ? &progress : nullptr, matched);
            resumed = false;
            state.piece = to;
        };
        const size_t searched = patterns[stage].each_certain_match(
            text.substr(begin, end - begin),
            [&](size_t from, size_t to) {
                piece_to(begin + from, false);
                piece_to(begin + to, true);
            },
            state.search - begin);
        state.search = begin + searched;
        // Up to state.search there is no other match: the next stage can split that much of the open piece.
        split_certain(stage + 1, state.piece, state.search, progress, resumed);
    }
};

void PreTokenizer::split(std::string_view text, const std::function<void(std::string_view)>& word) const {
    split(text, 0, word);
}

void PreTokenizer::split(std::string_view text, size_t stage, const std::function<void(std::string_view)>& word) const {
    if (text.empty()) return;
    if (stage == patterns_.size()) return word(text);
    size_t from = 0;
    patterns_[stage].each_match(text, [&](size_t begin, size_t end) {
        split(text.substr(from, begin - from), stage + 1, word);
        split(text.substr(begin, end - begin), stage + 1, word);
        from = end;
    });
    split(text.substr(from), stage + 1, word);
}

// A split point is right if the words before it, and those after it, are words of the whole text. After:
// same_matches_after(). Before: `certain` is how far the stages come in text[0, from) whatever follows. Words up to
// there are the same for all split points from `from` on, so only later ones are compared: `words`, those of the text
// that continues, with `alone`, those of the left side as a complete text.
size_t PreTokenizer::cut(std::string_view text, size_t from, const std::function<bool(size_t)>& accepted) const {
    if (patterns_.empty()) return 0;
    while (from > 0 && from < text.size() && !begins_character(text[from])) from--;
    std::vector<Progress> certain(patterns_.size());
    Run{patterns_, text.substr(0, from), nullptr}.split_certain(0, 0, from, certain, false);
    std::vector<Word> words, alone;
    auto progress = certain;
    Run{patterns_, text, &words}.split_certain(0, 0, text.size(), progress, true);
    const auto same_end = [](const Word& a, const Word& b) { return a.end == b.end; };
    size_t compared = 0;  // bytes: limits the cost of a text without split points
    for (size_t i = 0; i < words.size() && compared <= 4 * text.size(); i++) {
        const size_t end = words[i].end;
        if (end < from || words[i].within || !accepted(end)) continue;
        compared += end - certain.back().piece;
        alone.clear();
        Run{patterns_, text.substr(0, end), &alone}.split_all(0, 0, end, &certain);
        if (std::equal(alone.begin(), alone.end(), words.begin(), words.begin() + std::ptrdiff_t(i) + 1, same_end) &&
            same_matches_after(text, words[i]))
            return end;
    }
    return 0;
}

// Whether the matches after a word's end are the same when the text begins there. Stages after word.stage see only
// pieces that begin there or later. In stages before it no match begins or ends there. So only lookbehind can make a
// difference. A first stage with lookbehind is tried: on the text after the word's end, with and without the text
// before, until its matches are too far away to see that.
bool PreTokenizer::same_matches_after(std::string_view text, const Word& word) const {
    size_t lookbehind = 0;  // characters
    for (size_t stage = 0; stage <= word.stage; stage++)
        lookbehind = std::max(lookbehind, patterns_[stage].lookbehind());
    if (lookbehind == 0) return true;
    if (word.stage > 0 || lookbehind >= Pattern::kUnbounded) return false;
    const size_t clear = 4 * lookbehind, some = 1024;  // bytes
    const auto near = whole_characters(text.substr(0, word.end + clear + some));
    Spans whole = certain_matches(patterns_[0], near, word.end, word.end + clear);
    for (auto& [begin, end] : whole) {
        begin -= word.end;
        end -= word.end;
    }
    return !whole.empty() && whole == certain_matches(patterns_[0], near.substr(word.end), 0, clear);
}

}  // namespace sluice
