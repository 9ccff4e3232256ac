// A Config from YAML files and key=value overrides, every value with its origin.
// Errors: Failure(Exit::config) with all that is wrong, each on a line "file:line:column: path: what and what to do".
#pragma once
#include <map>
#include <string>
#include <vector>

#include "config/specs.h"

namespace sluice {

// What a command needs: `plan`, `config` and `bench` do without data.train, train.steps and optimizer.lr.
enum class Purpose { train, plan };

struct Loaded {
    Config config;
    bool micro_batch_given = false;  // else train.micro_batch is the default for so many ranks
    // Dotted path of a leaf ("model.gates.0.position") -> "default", "FILE:LINE:COLUMN" or "command line".
    std::map<std::string, std::string> origins;
};

// Reads `file` over its `base:` files, applies the overrides ("model.layers=4", "model.gates=[]"), fills in defaults
// that depend on other keys and refuses what cannot go together. ranks 0: not known yet, train.micro_batch may stay 0.
Loaded load_config(const std::string& file, const std::vector<std::string>& overrides, Purpose purpose, int ranks = 0);
// The same from text; `name` stands for the file in messages and names the run.
Loaded load_config_text(const std::string& text, const std::string& name, const std::vector<std::string>& overrides,
                        Purpose purpose, int ranks = 0);

// How many data-parallel ranks there are. Errors: Failure(Exit::config) where the mesh does not fit the ranks.
int64_t data_ranks_of(const Config& config, int ranks);
// Checks that need the number of ranks, and micro_batch's default. Errors: Failure(Exit::config).
void resolve_ranks(Config& config, int ranks);

// The resolved config as YAML that loads back to the same Config; with_origins appends "# origin" to each leaf.
std::string dump_yaml(const Config& config);
std::string dump_yaml_with_origins(const Loaded& loaded);
std::string dump_json(const Config& config);
std::string dump_json_with_origins(const Loaded& loaded);  // and "origins": {PATH: origin}
// Leaves as (dotted path, value text), in order of declaration: what resume compares.
std::vector<std::pair<std::string, std::string>> flatten(const Config& config);
// Every key with type, default, range and meaning: `sluice config --reference`, as a page of Markdown.
std::string reference();
std::string reference_json();

}  // namespace sluice
