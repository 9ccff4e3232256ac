// What is declared beside each config key: its range, when it is required, its default, its effect on a resumed run.
#pragma once
#include "base/enum_names.h"
#include "config/range.h"

namespace sluice {

// What changes if a key differs from the checkpoint's on resume. A changed model cannot resume; a changed course (of
// the training) only with checkpoint.allow_change; changed rounding with a warning.
enum class Change { nothing, rounding, course, model, by_key };  // by_key: of a section, its keys say it

// When a key must be given, and how the reference says it. not_empty: in each element of a list.
enum class Required { no, always, without_experts, with_experts, in_training, not_empty, this_tokens_or_epochs };
template <>
struct EnumNames<Required> {
    static constexpr std::pair<const char*, Required> all[] = {
        {"", Required::no},
        {"required", Required::always},
        {"required without experts", Required::without_experts},
        {"required with experts", Required::with_experts},
        {"required", Required::in_training},
        {"required", Required::not_empty},
        {"required: this, tokens or epochs", Required::this_tokens_or_epochs}};
};

struct Attributes {
    Change changes;
    Range range;
    Required required;
    const char* default_from = "";  // in words: what the default is derived from

    constexpr Attributes(Change c, Range r = {}, Required q = Required::no) : changes(c), range(r), required(q) {}
    constexpr Attributes(Change c, Required q) : Attributes(c, {}, q) {}
};
constexpr Attributes kSection = Change::by_key;
constexpr Attributes derived(const char* from, Change changes, Range range = {}) {
    Attributes attributes(changes, range);
    attributes.default_from = from;
    return attributes;
}

}  // namespace sluice
