// Finds characters that are newer than the Unicode of the PCRE2 in use. Its patterns do not match them as letters;
// those of a library with a newer Unicode do, so ids can differ.
#pragma once
#include <string>
#include <string_view>

namespace sluice {

bool has_new_characters(std::string_view text);  // UTF-8
// Warns on stderr, once per process, of the first text that has such characters. Any number of threads may call it.
void warn_of_new_characters(std::string_view text);
std::string unicode_of_patterns();  // "14.0.0"

}  // namespace sluice
