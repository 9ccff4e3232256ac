// Reads the pre-tokenizers of a tokenizer.json as patterns (text/pre_tokenizer.h). Errors: std::runtime_error, naming
// what is not supported.
#pragma once
#include "base/json.h"
#include "text/byte_level_encoder.h"

namespace sluice {

void read_pre_tokenizer(const LargeJson& json, ByteLevelModel& model);

}  // namespace sluice
