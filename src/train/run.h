// A run: from a resolved config to a trained model in its folder. It resumes, logs, evaluates, samples, writes
// checkpoints, and stops when it is asked to.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/check.h"
#include "config/specs.h"
#include "parallel/comm.h"

namespace sluice {

// The tokenizer, for generated samples. Empty functions: there is none.
struct Text {
    std::function<std::vector<int32_t>(const std::string&)> encode;
    std::function<std::string(const std::vector<int32_t>&)> decode;
    int32_t delimiter = -1;      // id that separates documents
    std::vector<int32_t> drawn;  // ids that samples are drawn from: all of the tokenizer's but the delimiter
};

// Opens the tokenizer of the data; called once the data are known to be those of the checkpoint. Errors:
// Failure(Exit::data).
using OpenText = std::function<Text()>;

// Collective. Returns Exit::done or Exit::stopped. Errors at the start are printed by one rank and returned on all.
Exit train(const Config& config, Comm& comm, const OpenText& open_text);

}  // namespace sluice
