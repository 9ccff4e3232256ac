// What of the training data is not what a checkpoint says was read, one text a change, with old and new values:
// "data.train.0 (shards): was added: s3.bin (81 tokens)".
#pragma once
#include <string>
#include <vector>

#include "checkpoint/data_record.h"
#include "config/specs.h"

namespace sluice {

// `moved`: keys of data paths that differ, as compare_configs() tells them; those of sources that hold other tokens are
// told too.
std::vector<std::string> data_changes(const DataRecord& before, const DataRecord& now,
                                      const std::vector<std::string>& moved);

// The same of data that cannot be opened as a run would: what is there is read as far as it goes. Throws nothing.
std::vector<std::string> data_changes(const DataRecord& before, const DataSpec& now,
                                      const std::vector<std::string>& moved);

}  // namespace sluice
