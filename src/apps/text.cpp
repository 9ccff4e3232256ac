#include "apps/text.h"

namespace sluice {

std::unique_ptr<Tokenizer> tokenizer_of(const DataSpec& data, Reads reads) {
    const std::string name = tokenizer_name(data, reads);
    return name.empty() ? nullptr : open_tokenizer(name);
}

Text text_of(const Tokenizer& tokenizer) {
    Text text{[&](const std::string& text) { return tokenizer.encode(text); },
              [&](const std::vector<int32_t>& ids) { return tokenizer.decode(ids); },
              tokenizer.delimiter(),
              {}};
    for (int32_t id = 0; id < tokenizer.vocab(); id++)
        if (id != tokenizer.delimiter() && tokenizer.has(id)) text.drawn.push_back(id);
    return text;
}

}  // namespace sluice
