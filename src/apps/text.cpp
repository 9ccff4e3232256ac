#include "apps/text.h"

#include "base/check.h"

namespace sluice {

std::unique_ptr<Tokenizer> tokenizer_of(const DataSpec& data, Reads reads) {
    const std::string name = tokenizer_name(data, reads);
    return name.empty() ? nullptr : open_tokenizer(name);
}

std::unique_ptr<Tokenizer> tokenizer_of_model(const Config& config) {
    const DataSpec& data = config.data;
    auto tokenizer = data.tokenizer.empty() ? tokenizer_of(data, Reads::tokenizer) : open_tokenizer(data.tokenizer);
    if (!tokenizer)
        fail(Exit::data, "no tokenizer stands where the shards do: give data.tokenizer=bytes or data.tokenizer=FILE");
    if (tokenizer->vocab() > config.model.vocab)
        fail(Exit::data, "the tokenizer has " + std::to_string(tokenizer->vocab()) + " ids, the model only " +
                             std::to_string(config.model.vocab) +
                             ": give the one it was trained with (data.tokenizer)");
    return tokenizer;
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
