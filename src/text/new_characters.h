// Characters that are newer than the Unicode of the PCRE2 in use: to its patterns they are no letters, to those of a
// library with a newer Unicode they are, so that ids can differ.
#pragma once
#include <string>
#include <string_view>

namespace sluice {

bool has_new_characters(std::string_view text);  // UTF-8
// Warns on stderr, once in a process, when a text with such characters comes by. By any number of threads.
void warn_of_new_characters(std::string_view text);
std::string unicode_of_patterns();  // "14.0.0"

}  // namespace sluice
