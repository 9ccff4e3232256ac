// Loads a Config from YAML files and key=value overrides, with the origin of every value.
// Errors: Failure(Exit::config) with all errors, a line each: "file:line:column: path: what and what to do".
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/specs.h"
#include "config/yaml.h"

namespace sluice {

// What the config is loaded for. `plan`, `config` and `bench` do without data.train, train.steps and optimizer.lr; the
// config stored with a checkpoint is not validated for what only a run would use (the schedule).
enum class Purpose { train, plan, stored };

// Reads from the data what a config leaves open. Errors: Failure(Exit::data).
struct DataFacts {
    struct Vocab {
        int64_t size = 0;               // ids of the largest tokenizer recorded beside the shards
        std::string without_tokenizer;  // a shard without a recorded tokenizer; empty: there is none
    };
    std::function<Vocab(const DataSpec&)> vocab;
    std::function<int64_t(const DataSpec&)> samples;  // in all training sources together
    // The config of the checkpoint that a run resumes from, if any: its model.vocab is kept, whatever the data record.
    std::function<std::optional<Config>(const Config&)> before = {};
};

struct Loaded {
    Config config;
    bool micro_batch_given = false;     // else train.micro_batch is the default for that many ranks
    std::vector<std::string> warnings;  // "file:line:column: path: what"
    // Dotted path of a leaf ("model.gates.0.position") -> "default", "FILE:LINE:COLUMN", "MANIFEST", "command line",
    // "the data", or the key that it was derived from and that key's origin.
    std::map<std::string, std::string> origins;
};

// Merges `file` over its `base:` files, merges the other files over it and applies the overrides ("model.layers=4",
// "model.gates=[]"; an argument without '=' that ends in .yaml or .yml is a file). Fills in defaults that depend on
// other keys, reads from the data what is left open (without facts: nothing may be), and validates the result.
// train.tokens and train.epochs become train.steps. ranks 0: not known yet, train.micro_batch may stay 0.
Loaded load_config(const std::string& file, const std::vector<std::string>& overrides, Purpose purpose, int ranks = 0,
                   const DataFacts& facts = {});
// The same from text; `name` is the file name in messages and the default of run.name. For Purpose::stored it names a
// manifest, and messages and origins have no lines.
Loaded load_config_text(const std::string& text, const std::string& name, const std::vector<std::string>& overrides,
                        Purpose purpose, int ranks = 0, const DataFacts& facts = {});

// A file or a key=value that lies over a config, and where it is written.
struct Layer {
    std::string text;
    Mark mark;
};
bool is_config_file(const std::string& argument);  // no '=', and it ends in .yaml or .yml
// The same with the layers in the order given: a file also over each key=value before it. Errors name their places.
Loaded load_layers(const std::string& file, const std::vector<Layer>& layers, Purpose purpose, int ranks = 0,
                   const DataFacts& facts = {});

// The number of data-parallel ranks. Errors: Failure(Exit::config) if the mesh does not fit the ranks.
int64_t data_ranks_of(const Config& config, int ranks);
// Checks that need the number of ranks, and micro_batch's default. Errors: Failure(Exit::config).
void resolve_ranks(Config& config, int ranks);

// The resolved config as YAML that loads back to the same Config; with_origins appends "# origin" to each leaf.
std::string dump_yaml(const Config& config);
std::string dump_yaml_with_origins(const Loaded& loaded);
std::string dump_json(const Config& config);
std::string dump_json_with_origins(const Loaded& loaded);  // and "origins": {PATH: origin}, "warnings"
// Leaves as (dotted path, value text), in order of declaration: resume compares these.
std::vector<std::pair<std::string, std::string>> flatten(const Config& config);
// What changes if such a leaf differs on resume.
Change change_of(const std::string& path);
// Every key with type, default, range and meaning: `sluice config --reference`, as a page of Markdown.
std::string reference();
std::string reference_json();

}  // namespace sluice
