// A text, looked at as it comes: whether it is one, and its hash.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sluice {

uint64_t hash_of_text(std::string_view text);  // XXH3, 64 bits

class TextCheck {
 public:
    // any_bytes: what is not UTF-8 is taken too.
    explicit TextCheck(bool any_bytes);
    TextCheck(TextCheck&&) noexcept;
    TextCheck& operator=(TextCheck&&) noexcept;
    ~TextCheck();
    void add(std::string_view bytes);  // errors: DamagedInput, with the byte of the text
    void end();                        // the text has ended; errors as add()
    uint64_t hash() const;             // of what was added, as hash_of_text() of it at once

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
