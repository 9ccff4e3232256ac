// What a run tells of its data before it starts: what no sample reaches, and validation sets that are trained on.
#pragma once
#include <string>
#include <vector>

#include "config/specs.h"
#include "data/data.h"

namespace sluice {

struct DataReport {
    std::vector<std::string> lines, warnings;
};
DataReport report_data(const Config& config, const TrainingData& training,
                       const std::vector<ValidationData>& validation);

// The tokens of a shard that no sample of `length` reaches: what follows the last whole sample, or all.
int64_t tokens_in_no_sample(int64_t shard_tokens, int64_t length);

// "its 40 shards hold 61500 tokens, the longest 1502, and a sample takes 2049 (data.sequence_length + 1): ..."
std::string too_short_for_a_sample(const std::vector<TokenShard>& shards, int64_t length);

}  // namespace sluice
