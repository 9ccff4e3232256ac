// The report on a run's data before it starts: tokens that are in no sample, and validation sets that are trained on.
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

// The number of tokens of a shard that are in no sample of sequence length `length`: those after the last sample, or
// all.
int64_t tokens_in_no_sample(int64_t shard_tokens, int64_t length);

// Why there is no sample: "no shard has the 2049 tokens of one sample (data.sequence_length + 1): its 40 shards hold
// 61500 tokens, at most 1502 each: ..."
std::string too_short_for_a_sample(const std::vector<TokenShard>& shards, int64_t length);

}  // namespace sluice
