// How the training data differ from those that a checkpoint recorded, one text per change, with old and new values:
// "data.train.0 (shards): was added: s3.bin (81 tokens)".
#pragma once
#include <string>
#include <vector>

#include "checkpoint/data_record.h"
#include "config/specs.h"

namespace sluice {

// `moved`: texts of data paths that differ, as compare_configs() returns them. Those of sources whose tokens differ are
// part of the result.
std::vector<std::string> data_changes(const DataRecord& before, const DataRecord& now,
                                      const std::vector<std::string>& moved);

// The same for data that a run could not open: reads what can be read, and reports the rest. Throws nothing.
std::vector<std::string> data_changes(const DataRecord& before, const DataSpec& now,
                                      const std::vector<std::string>& moved);

}  // namespace sluice
