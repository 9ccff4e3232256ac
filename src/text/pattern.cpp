#include "text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "base/check.h"
#include "text/onig_syntax.h"

namespace sluice {
namespace {

constexpr uint32_t kMatchLimit = 1u << 28, kHeapLimit = 1u << 18;  // steps of a match, KiB
constexpr size_t kJitStack = size_t{32} << 20;                     // bytes

std::string message_of(int code) {
    PCRE2_UCHAR text[256] = {};
    pcre2_get_error_message(code, text, sizeof text);
    return reinterpret_cast<char*>(text);
}

// As Pattern::lookbehind() says. PCRE2 counts \b, \B and \A, but not ^; \G and \K depend on where the search began.
size_t lookbehind_of(const pcre2_code* code, const std::string& pattern) {
    if (pattern.find("\\G") != std::string::npos || pattern.find("\\K") != std::string::npos)
        return Pattern::kUnbounded;
    uint32_t longest = 0;
    pcre2_pattern_info(code, PCRE2_INFO_MAXLOOKBEHIND, &longest);
    for (size_t i = 0; i < pattern.size(); i++)
        if (pattern[i] == '^' && (i == 0 || pattern[i - 1] != '[')) return std::max<size_t>(longest, 1);
    return longest;
}

// State of matching, one per thread.
struct Scratch {
    pcre2_match_context* context = pcre2_match_context_create(nullptr);
    pcre2_match_data* data = pcre2_match_data_create(1, nullptr);  // the whole match, no groups
    pcre2_jit_stack* stack = pcre2_jit_stack_create(size_t{1} << 16, kJitStack, nullptr);

    Scratch() {
        pcre2_set_match_limit(context, kMatchLimit);
        pcre2_set_heap_limit(context, kHeapLimit);
        pcre2_jit_stack_assign(context, nullptr, stack);
    }
    ~Scratch() {
        pcre2_match_data_free(data);
        pcre2_match_context_free(context);
        pcre2_jit_stack_free(stack);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
};

}  // namespace

struct Pattern::Impl {
    pcre2_code* code = nullptr;
    size_t lookbehind = 0;
    ~Impl() { pcre2_code_free(code); }
};

Pattern::Pattern(const std::string& given) : impl_(std::make_unique<Impl>()) {
    const std::string pattern = pcre2_of_onig(given);
    int error = 0;
    PCRE2_SIZE at = 0;
    impl_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF | PCRE2_UCP,
                                &error, &at, nullptr);
    if (!impl_->code) fail(Exit::data, "the pattern '" + given + "' cannot be compiled: " + message_of(error));
    // If this fails, matching is slower but right.
    pcre2_jit_compile(impl_->code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
    impl_->lookbehind = lookbehind_of(impl_->code, pattern);
}
Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;

void Pattern::each_match(std::string_view text, const Visit& visit, size_t from) const { scan(text, visit, from, 0); }
size_t Pattern::each_certain_match(std::string_view text, const Visit& visit, size_t from) const {
    return scan(text, visit, from, PCRE2_PARTIAL_HARD);
}
size_t Pattern::lookbehind() const { return impl_->lookbehind; }

// Visits matches up to the end of the text or, with PCRE2_PARTIAL_HARD, up to a match that looked beyond the end.
// Returns where it stopped.
size_t Pattern::scan(std::string_view text, const Visit& visit, size_t from, uint32_t options) const {
    thread_local Scratch scratch;
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(scratch.data);
    size_t last = std::string_view::npos;  // where the match before ended
    for (size_t at = from; at <= text.size();) {
        const int found = pcre2_match(impl_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                      options | PCRE2_NO_UTF_CHECK, scratch.data, scratch.context);
        if (found == PCRE2_ERROR_NOMATCH) break;
        if (found == PCRE2_ERROR_PARTIAL) return bounds[0];
        if (found < 0) fail(Exit::data, "the tokenizer's pattern fails on the text: " + message_of(found));
        const size_t begin = bounds[0], end = bounds[1];
        if (end > begin || end != last) visit(begin, end);
        if (end == begin)
            for (at = end + 1; at < text.size() && (text[at] & 0xC0) == 0x80;) at++;
        else
            at = end;
        last = end;
    }
    return text.size();
}

}  // namespace sluice
