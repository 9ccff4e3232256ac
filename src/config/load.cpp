// From files and overrides to a Config: layers, then types, then what is required, then defaults, then what cannot be.
#include "config/load.h"

#include <filesystem>

#include "base/check.h"
#include "config/layers.h"
#include "config/read.h"
#include "config/refuse.h"

namespace sluice {
namespace {

void require_keys(const Config& config, Marks& marks, Purpose purpose) {
    std::vector<std::string> keys{"model.layers", "model.hidden",         "model.heads",
                                  "model.vocab",  "data.sequence_length", "train.batch"};
    if (config.model.moe.experts == 0)
        keys.push_back("model.ffn.hidden");
    else
        keys.insert(keys.end(), {"model.moe.top_k", "model.moe.hidden"});
    if (purpose == Purpose::train) keys.insert(keys.end(), {"data.train", "train.steps", "optimizer.lr"});
    for (auto& key : keys)
        if (!marks.given(key) && marks.sound(key)) marks.refuse(key, "required, but not given");
}

// Defaults that depend on other keys; the ranges of those keys have not been checked yet.
void fill_defaults(Config& config, const Marks& marks) {
    ModelSpec& m = config.model;
    if (!marks.given("run.name")) config.run.name = std::filesystem::path(marks.file).stem().string();
    if (!marks.given("model.kv_heads")) m.kv_heads = m.heads;
    const bool divides = m.heads > 0 && m.hidden % m.heads == 0;
    if (!marks.given("model.head_dim") && divides) m.head_dim = m.hidden / m.heads;
}

Loaded load(Node root, const std::string& file, const std::vector<std::string>& overrides, Purpose purpose, int ranks,
            Marks& marks) {
    root = over_base(std::move(root), file, marks.complaints);
    for (auto& text : overrides) apply_override(root, text, marks.complaints);
    Loaded loaded;
    marks.file = printable(file, 4096);
    read_config(root, loaded.config, marks);
    require_keys(loaded.config, marks, purpose);
    fill_defaults(loaded.config, marks);
    refuse_config(loaded.config, marks, purpose, ranks);
    marks.complaints.raise();
    loaded.micro_batch_given = loaded.config.train.micro_batch > 0;
    if (ranks > 0) resolve_ranks(loaded.config, ranks);
    for (auto& [path, text] : flatten(loaded.config)) loaded.origins[path] = marks.origin(path);
    return loaded;
}

}  // namespace

Loaded load_config(const std::string& file, const std::vector<std::string>& overrides, Purpose purpose, int ranks) {
    Marks marks;
    return load(read_yaml(file, marks.complaints), file, overrides, purpose, ranks, marks);
}

Loaded load_config_text(const std::string& text, const std::string& name, const std::vector<std::string>& overrides,
                        Purpose purpose, int ranks) {
    Marks marks;
    return load(parse_yaml(text, name, marks.complaints), name, overrides, purpose, ranks, marks);
}

}  // namespace sluice
