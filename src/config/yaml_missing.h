// The places of missing values: yaml-cpp reports that of the next token, which may be lines away.
#pragma once
#include <cstddef>
#include <string>

namespace sluice {

// The byte of a missing value: after the key's ':', the list's '-' or whatever else is last before `next`, the byte
// of the next token, comments skipped. `next` itself if there is nothing before it.
size_t missing_at(const std::string& text, size_t next);
// null, Null, NULL or ~ as written at a byte; empty where a value is missing.
std::string null_word(const std::string& text, size_t at);

}  // namespace sluice
