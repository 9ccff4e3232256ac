// The tokenizer that a config names, or else the one that is recorded beside its shards.
#pragma once
#include <memory>

#include "config/specs.h"
#include "data/data.h"
#include "text/tokenizer.h"
#include "train/run.h"

namespace sluice {

// Null when neither the config nor the shards name one.
std::unique_ptr<Tokenizer> tokenizer_of(const DataSpec& data, Reads reads = Reads::all);
// The tokenizer of a stored model, whose shards may be gone: that of data.tokenizer, else the recorded one. Errors:
// Failure(Exit::data): there is none, or it has more ids than the model.
std::unique_ptr<Tokenizer> tokenizer_of_model(const Config& config);
// The tokenizer must outlive the result.
Text text_of(const Tokenizer& tokenizer);

}  // namespace sluice
