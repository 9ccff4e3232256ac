// What a run reads, as its checkpoints record it: of every training source and validation set the shards in order, by
// what they hold and not by where they lie. A resume compares: other tokens are another course.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "config/specs.h"
#include "data/data.h"
#include "data/shard_set.h"
#include "data/token_shard.h"
#include "parallel/comm.h"

namespace sluice {

struct ShardRecord {
    std::string file;  // its name: for messages
    int64_t tokens = 0;
    std::string hash;       // of all its ids, as its set tells; empty for foreign shards
    std::string sample;     // of at most kSampledTokens ids that were read
    std::string documents;  // of some documents' places, where the run masks by documents; else empty
};
struct SourceRecord {
    std::string path;  // as in the config: for messages
    std::vector<ShardRecord> shards;
};
struct DataRecord {
    std::vector<SourceRecord> train, validation;
};

constexpr int64_t kSampledTokens = 65536;  // of a shard; those of a longer one in 8 stretches from its start to its end

// Errors: as reading the data.
DataRecord record_data(const DataSpec& spec, const TrainingData& train, const std::vector<ValidationData>& validation);

// One shard; set: which lists it, null for foreign ones. Errors: as reading the data.
ShardRecord record_shard(const TokenShard& shard, const ShardSet* set, bool documents);

// Collective: ends in order with Exit::data when a rank finds other shards than rank 0, by their number and lengths.
// Returns 0 or that code.
int refuse_other_data(Comm& comm, const TrainingData& data, size_t sources);

// What of a source is not as it was, in words: "web_000003.bin was added (120 tokens)"; empty: it is the same. Names
// and paths alone make no difference.
std::string source_change(const SourceRecord& before, const SourceRecord& now);

// The record within a manifest's `data`. Errors: JsonError.
void write_data_record(Json& data, const DataRecord& record);
DataRecord parse_data_record(const Json& data);

}  // namespace sluice
