// XXH3, 128 bits, as 32 hexadecimal digits. It detects accidental changes, not forgeries.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

namespace sluice {

class Hash {
 public:
    Hash();
    ~Hash();
    Hash(Hash&&) noexcept;
    void add(const void* data, size_t bytes);
    void add(const std::string& text);  // after its length, so that "ab", "c" and "a", "bc" differ
    std::string hex() const;

 private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice
