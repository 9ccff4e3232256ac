#include "apps/text.h"

#include "train/data.h"

namespace sluice {

std::unique_ptr<Tokenizer> tokenizer_of(const DataSpec& data) {
    const std::string name = tokenizer_name(data);
    return name.empty() ? nullptr : open_tokenizer(name);
}

Text text_of(const Tokenizer& tokenizer) {
    return {[&](const std::string& text) { return tokenizer.encode(text); },
            [&](const std::vector<int32_t>& ids) { return tokenizer.decode(ids); }, tokenizer.delimiter()};
}

}  // namespace sluice
