// Checks a text block by block: that it is UTF-8 without NUL bytes. Hashes it on the way.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sluice {

uint64_t hash_of_text(std::string_view text);  // XXH3, 64 bits

class TextCheck {
 public:
    // any_bytes: text need not be UTF-8.
    explicit TextCheck(bool any_bytes);
    TextCheck(TextCheck&&) noexcept;
    TextCheck& operator=(TextCheck&&) noexcept;
    ~TextCheck();
    void add(std::string_view bytes);  // errors: DamagedInput, with the offset in the text
    void end();                        // the text has ended; errors as add()
    uint64_t hash() const;             // hash_of_text() of all that was added

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
