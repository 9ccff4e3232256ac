// tiktoken's files of ranks: a line per token, its bytes in base64 and its id. They do not say how text is split, or
// which special tokens there are: the published files are recognised by their tokens. Errors: Failure(Exit::data).
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace sluice {

struct TiktokenFamily {
    std::string name;
    int32_t ranks, hello, world;  // how many tokens there are; the ids of "hello" and " world"
    std::string pattern;
    std::vector<std::pair<std::string, int32_t>> special;
    int32_t vocab;  // number of ids, with special tokens, named or not
    bool nfc = false;
};

const std::vector<TiktokenFamily>& tiktoken_families();

// Whether text begins as such a file does.
bool looks_like_tiktoken(const std::string& text);
// delimiter: as for open_byte_level_bpe. A file that is none of `families` is refused.
std::unique_ptr<Tokenizer> open_tiktoken(const std::string& path, const std::string& delimiter,
                                         const std::vector<TiktokenFamily>& families = tiktoken_families());

}  // namespace sluice
