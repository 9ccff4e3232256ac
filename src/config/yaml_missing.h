// Values that a YAML text leaves out: yaml-cpp tells the next token in their place, which may be lines away.
#pragma once
#include <cstddef>
#include <string>

namespace sluice {

// Where a value is missing: behind the key's ':', the list's '-' or whatever else stands last before `next`, the byte
// of the next token, comments left aside. `next` itself where nothing stands before.
size_t missing_at(const std::string& text, size_t next);
// null, Null, NULL or ~ as written at a byte; empty where a value is missing.
std::string null_word(const std::string& text, size_t at);

}  // namespace sluice
