// Translates the regular expressions of tokenizer.json files for PCRE2. Hugging Face's library compiles them with
// Oniguruma, whose syntax (Ruby's) and whose sets of characters differ: PCRE2 would accept some constructs without an
// error and match something else. A construct that is known to mean the same passes, one that PCRE2 can express is
// translated, and any other is refused.
#pragma once
#include <string>

namespace sluice {

// A pattern for PCRE2 with PCRE2_UTF and PCRE2_UCP; groups capture nothing. Errors: std::runtime_error, naming the
// construct, its offset in bytes, and why it is not supported.
std::string pcre2_of_onig(const std::string& pattern);

}  // namespace sluice
