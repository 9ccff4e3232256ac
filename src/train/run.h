// A run: from a resolved config to a trained model in its folder. Resumes, logs, evaluates, samples, checkpoints,
// stops.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/check.h"
#include "config/specs.h"
#include "parallel/comm.h"

namespace sluice {

// How samples become text. Empty functions: there is no tokenizer.
struct Text {
    std::function<std::vector<int32_t>(const std::string&)> encode;
    std::function<std::string(const std::vector<int32_t>&)> decode;
    int32_t delimiter = -1;
    std::vector<int32_t> drawn;  // what samples are drawn from: all that the tokenizer has but the delimiter
};

// Opens what the data were made with, once they are known to be those of the checkpoint. Errors: Failure(Exit::data).
using OpenText = std::function<Text()>;

// Collective. Returns Exit::done or Exit::stopped; start-up errors that every rank meets are printed once and returned.
Exit train(const Config& config, Comm& comm, const OpenText& open_text);

}  // namespace sluice
