// A Config from YAML files and key=value overrides, every value with its origin.
// Errors: Failure(Exit::config) with all that is wrong, each on a line "file:line:column: path: what and what to do".
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/specs.h"

namespace sluice {

// What a command needs: `plan`, `config` and `bench` do without data.train, train.steps and optimizer.lr. A config that
// was stored with a checkpoint is not judged anew for what only a run would do with it (the schedule).
enum class Purpose { train, plan, stored };

// What the data tell where a config leaves it to them. Errors: Failure(Exit::data).
struct DataFacts {
    struct Vocab {
        int64_t size = 0;     // of the tokenizers recorded beside the shards, the largest
        std::string foreign;  // a shard that has none beside it; empty: all have
    };
    std::function<Vocab(const DataSpec&)> vocab;
    std::function<int64_t(const DataSpec&)> samples;  // in all training sources together
    // The config of the checkpoint that a run goes on from, if there is one: its model.vocab stays, whatever data tell.
    std::function<std::optional<Config>(const Config&)> before = {};
};

struct Loaded {
    Config config;
    bool micro_batch_given = false;     // else train.micro_batch is the default for so many ranks
    std::vector<std::string> warnings;  // what is odd, but can be: "file:line:column: path: what"
    // Dotted path of a leaf ("model.gates.0.position") -> "default", "FILE:LINE:COLUMN", "MANIFEST", "command line",
    // "the data", or the key that it was made from and that key's origin.
    std::map<std::string, std::string> origins;
};

// Reads `file` over its `base:` files, lays the other files over it and applies the overrides ("model.layers=4",
// "model.gates=[]"; what has no '=' and ends in .yaml or .yml is a file), fills in defaults that depend on other keys,
// asks the data for what is left to them (without facts: nothing may be) and refuses what cannot go together.
// train.tokens and train.epochs become train.steps. ranks 0: not known yet, train.micro_batch may stay 0.
Loaded load_config(const std::string& file, const std::vector<std::string>& overrides, Purpose purpose, int ranks = 0,
                   const DataFacts& facts = {});
// The same from text; `name` stands for the file in messages and names the run. For Purpose::stored it is that of a
// manifest, whose lines are not the text's: it stands alone in messages and origins.
Loaded load_config_text(const std::string& text, const std::string& name, const std::vector<std::string>& overrides,
                        Purpose purpose, int ranks = 0, const DataFacts& facts = {});

// How many data-parallel ranks there are. Errors: Failure(Exit::config) where the mesh does not fit the ranks.
int64_t data_ranks_of(const Config& config, int ranks);
// Checks that need the number of ranks, and micro_batch's default. Errors: Failure(Exit::config).
void resolve_ranks(Config& config, int ranks);

// The resolved config as YAML that loads back to the same Config; with_origins appends "# origin" to each leaf.
std::string dump_yaml(const Config& config);
std::string dump_yaml_with_origins(const Loaded& loaded);
std::string dump_json(const Config& config);
std::string dump_json_with_origins(const Loaded& loaded);  // and "origins": {PATH: origin}, "warnings"
// Leaves as (dotted path, value text), in order of declaration: what resume compares.
std::vector<std::pair<std::string, std::string>> flatten(const Config& config);
// What it does to a resumed run that such a leaf differs.
Change change_of(const std::string& path);
// Every key with type, default, range and meaning: `sluice config --reference`, as a page of Markdown.
std::string reference();
std::string reference_json();

}  // namespace sluice
