#include "documents/text_check.h"

#include <xxhash.h>

#include "base/utf8.h"
#include "documents/byte_source.h"

namespace sluice {

uint64_t hash_of_text(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

struct TextCheck::Impl {
    struct Free {
        void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
    };
    std::unique_ptr<XXH3_state_t, Free> state{XXH3_createState()};
    bool any_bytes;
    std::string unfinished;  // bytes of an incomplete character at the end
    int64_t offset = 0;      // of `unfinished` in the text

    [[noreturn]] void refuse_byte(size_t at) const {
        throw DamagedInput("is not UTF-8: no character begins at byte " + std::to_string(offset + int64_t(at)));
    }
};

TextCheck::TextCheck(bool any_bytes) : impl_(std::make_unique<Impl>()) {
    impl_->any_bytes = any_bytes;
    XXH3_64bits_reset(impl_->state.get());
}
TextCheck::TextCheck(TextCheck&&) noexcept = default;
TextCheck& TextCheck::operator=(TextCheck&&) noexcept = default;
TextCheck::~TextCheck() = default;

void TextCheck::add(std::string_view bytes) {
    Impl& check = *impl_;
    XXH3_64bits_update(check.state.get(), bytes.data(), bytes.size());
    if (const size_t nul = bytes.find('\0'); nul != bytes.npos)
        throw DamagedInput("is no text: a NUL byte at byte " +
                           std::to_string(check.offset + int64_t(check.unfinished.size() + nul)));
    if (check.any_bytes) {
        check.offset += int64_t(bytes.size());
        return;
    }
    std::string joined;
    if (!check.unfinished.empty()) bytes = joined = check.unfinished + std::string(bytes);
    if (const size_t bad = invalid_utf8(bytes, true); bad < bytes.size()) check.refuse_byte(bad);
    const size_t whole = whole_characters(bytes).size();
    check.unfinished = bytes.substr(whole);
    check.offset += int64_t(whole);
}

void TextCheck::end() {
    if (!impl_->unfinished.empty()) impl_->refuse_byte(0);
}

uint64_t TextCheck::hash() const { return XXH3_64bits_digest(impl_->state.get()); }

}  // namespace sluice
