#include "text/pre_tokenizer.h"

#include <algorithm>

#include "base/utf8.h"

namespace sluice {
namespace {

using Spans = std::vector<std::pair<size_t, size_t>>;

// The certain matches from `from` on, up to the first that ends at `until` or behind it; empty where none does.
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

// A way through a text, stage by stage, that can begin where an earlier one stopped: `places`, one a stage, of which
// the later ones lie in the piece that begins at the earlier one's.
struct PreTokenizer::Run {
    const std::vector<Pattern>& patterns;
    std::string_view text;
    std::vector<Word>* words;  // or null: only the places are wanted

    // All of text[begin, end), a piece of the stage before.
    void whole(size_t stage, size_t begin, size_t end, const std::vector<Place>* places) {
        if (!words || begin == end) return;
        if (stage == patterns.size()) return words->push_back({end, stage, false});
        Place place = places ? (*places)[stage] : Place{begin, begin};
        const auto piece_to = [&](size_t to, bool matched) {
            piece(stage, place.piece, to, places, matched);
            places = nullptr;
            place.piece = to;
        };
        patterns[stage].each_match(
            text.substr(begin, end - begin),
            [&](size_t from, size_t to) {
                piece_to(begin + from, false);
                piece_to(begin + to, true);
            },
            place.search - begin);
        piece_to(end, false);
    }
    // A piece that a stage made.
    void piece(size_t stage, size_t begin, size_t end, const std::vector<Place>* places, bool matched) {
        if (!words || begin == end) return;
        const size_t before = words->size();
        whole(stage + 1, begin, end, places);
        if (words->size() == before) return;  // an earlier run has come to its end
        for (size_t i = before; matched && i + 1 < words->size(); i++) (*words)[i].within = true;
        words->back().stage = stage;
    }
    // What is certain of text[begin, end), the beginning of a piece of the stage before. resumed: it began earlier.
    void open(size_t stage, size_t begin, size_t end, std::vector<Place>& places, bool resumed) {
        if (stage == patterns.size()) return;
        Place& place = places[stage];
        if (!resumed) place = {begin, begin};
        const auto piece_to = [&](size_t to, bool matched) {
            piece(stage, place.piece, to, resumed ? &places : nullptr, matched);
            resumed = false;
            place.piece = to;
        };
        const size_t searched = patterns[stage].each_certain_match(
            text.substr(begin, end - begin),
            [&](size_t from, size_t to) {
                piece_to(begin + from, false);
                piece_to(begin + to, true);
            },
            place.search - begin);
        place.search = begin + searched;
        open(stage + 1, place.piece, place.search, places, resumed);
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

// A place is right when the words before it, and those behind it, are those of the whole text.
// Before: what is certain of text[0, from) holds for every side that ends at `from` or later, so only the words behind
// that are compared, the side alone and the text that goes on. Behind: alike_behind().
size_t PreTokenizer::cut(std::string_view text, size_t from, const std::function<bool(size_t)>& accepted) const {
    if (patterns_.empty()) return 0;
    while (from > 0 && from < text.size() && !begins_character(text[from])) from--;
    std::vector<Place> certain(patterns_.size());
    Run{patterns_, text.substr(0, from), nullptr}.open(0, 0, from, certain, false);
    std::vector<Word> words, alone;
    auto places = certain;
    Run{patterns_, text, &words}.open(0, 0, text.size(), places, true);
    const auto same_end = [](const Word& a, const Word& b) { return a.end == b.end; };
    size_t compared = 0;  // bytes, so that a text in which no place is right costs no more than a few readings
    for (size_t i = 0; i < words.size() && compared <= 4 * text.size(); i++) {
        const size_t end = words[i].end;
        if (end < from || words[i].within || !accepted(end)) continue;
        compared += end - certain.back().piece;
        alone.clear();
        Run{patterns_, text.substr(0, end), &alone}.whole(0, 0, end, &certain);
        if (std::equal(alone.begin(), alone.end(), words.begin(), words.begin() + std::ptrdiff_t(i) + 1, same_end) &&
            alike_behind(text, words[i]))
            return end;
    }
    return 0;
}

// Whether matches behind a word's end are the same when the text begins there. Patterns of later stages see only pieces
// that begin there or later; to earlier ones it is a place without a match. One that looks back is tried until what it
// can see begins there.
bool PreTokenizer::alike_behind(std::string_view text, const Word& word) const {
    size_t behind = 0;
    for (size_t stage = 0; stage <= word.stage; stage++) behind = std::max(behind, patterns_[stage].lookbehind());
    if (behind == 0) return true;
    if (word.stage > 0 || behind >= Pattern::kUnbounded) return false;
    const size_t clear = 4 * behind, some = 1024;  // bytes
    const auto near = whole_characters(text.substr(0, word.end + clear + some));
    Spans whole = certain_matches(patterns_[0], near, word.end, word.end + clear);
    for (auto& [begin, end] : whole) {
        begin -= word.end;
        end -= word.end;
    }
    return !whole.empty() && whole == certain_matches(patterns_[0], near.substr(word.end), 0, clear);
}

}  // namespace sluice
