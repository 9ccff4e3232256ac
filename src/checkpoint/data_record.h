// The data that a run reads, as its checkpoints record them: the shards of every training source and validation set, in
// order, by their tokens and not by their paths. A resumed run compares: with other tokens its course would change.
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
    std::string file;  // file name, for messages
    int64_t tokens = 0;
    std::string hash;       // of all ids, as recorded by its ShardSet; empty for shards without one
    std::string sample;     // hash of at most kSampledTokens of its ids
    std::string documents;  // hash of the starts of some documents, with data.document_mask; else empty
};
struct SourceRecord {
    std::string path;  // as in the config, for messages
    std::vector<ShardRecord> shards;
};
struct DataRecord {
    std::vector<SourceRecord> train, validation;
};

constexpr int64_t kSampledTokens = 65536;  // per shard; of a longer one 8 stretches, spread evenly over its length

// Errors: as reading the data.
DataRecord record_data(const DataSpec& spec, const TrainingData& train, const std::vector<ValidationData>& validation);

// The record of one shard. set: the ShardSet that lists it; null if none does. Errors: as reading the data.
ShardRecord record_shard(const TokenShard& shard, const ShardSet* set, bool documents);

// Collective. Compares each rank's shards with rank 0's, by number and lengths. Returns 0, or prints the difference and
// returns Exit::data on all ranks.
int refuse_other_data(Comm& comm, const TrainingData& data, size_t sources);

// How a source differs, as a text: "was added: web_000003.bin (120 tokens)"; empty: its tokens are the same. Names and
// paths are not compared.
std::string source_change(const SourceRecord& before, const SourceRecord& now);

// Writes and reads the record in a manifest's `data`. Errors: JsonError.
void write_data_record(Json& data, const DataRecord& record);
DataRecord parse_data_record(const Json& data);

}  // namespace sluice
