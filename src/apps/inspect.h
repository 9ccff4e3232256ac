// sluice inspect: the parts of the command.
#pragma once
#include <string>
#include <vector>

#include "apps/commands.h"
#include "base/json.h"
#include "engine/opened.h"
#include "eval/inspect.h"

namespace sluice {

// What was looked at, as users see it.
struct InspectionNames {
    std::string text;                     // that was given; empty: validation data
    std::vector<std::string> map_tokens;  // the text of each token that maps have
    std::vector<int64_t> mapped_layers;   // sorted
};
// The object of --json and inspect.json; docs/inspect.md describes it.
Json inspection_json(const Opened& opened, const Inspection& inspection, const InspectionNames& names, int64_t tokens);
// A table with a row a layer.
std::string inspection_table(const Inspection& inspection);

}  // namespace sluice
