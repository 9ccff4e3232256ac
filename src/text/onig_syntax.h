// The regular expressions of tokenizer.json files. Hugging Face's library gives them to Oniguruma, whose syntax
// (Ruby's) and whose sets of characters differ from PCRE2's in places where PCRE2 says nothing and matches something
// else. What is known to mean the same passes, what can be said in PCRE2's words is translated, all else is refused.
#pragma once
#include <string>

namespace sluice {

// For PCRE2 with PCRE2_UTF and PCRE2_UCP; groups capture nothing. Errors: std::runtime_error, naming the construct, its
// offset in bytes, and why it is not taken.
std::string pcre2_of_onig(const std::string& pattern);

}  // namespace sluice
