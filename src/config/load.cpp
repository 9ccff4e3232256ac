// From files and overrides to a Config: merge, read types and ranges, check required keys, fill in defaults, validate.
#include "config/load.h"

#include <filesystem>

#include "base/check.h"
#include "base/format.h"
#include "config/overlay.h"
#include "config/read.h"
#include "config/resolve.h"
#include "config/validate.h"
#include "config/visit.h"
#include "config/warn.h"

namespace sluice {
namespace {

// Except those that validate_config (not_empty) and resolve_length check.
void require_keys(const Config& config, Marks& marks, Purpose purpose) {
    const bool dense = config.model.moe.experts == 0;
    std::vector<Required> due{Required::always, dense ? Required::without_experts : Required::with_experts};
    if (purpose == Purpose::train) due.push_back(Required::in_training);
    for (const Required when : due)
        walk_keys(Config{}, "", [&](const std::string& path, auto&, const char*, const Attributes& key) {
            if (key.required == when && !marks.given(path) && marks.ok(path))
                marks.error(path, "required, but not given");
        });
}

// Defaults that depend on other keys; the ranges of those keys have not been checked yet.
void fill_defaults(Config& config, const Marks& marks) {
    ModelSpec& m = config.model;
    if (!marks.given("run.name")) config.run.name = std::filesystem::path(marks.file).stem().string();
    if (!marks.given("model.kv_heads")) m.kv_heads = m.heads;
    const bool divides = m.heads > 0 && m.hidden % m.heads == 0;
    if (!marks.given("model.head_dim") && divides) m.head_dim = m.hidden / m.heads;
}

// The file over its base, the other files over it in order, then the overrides.
Node merge_files(Node root, const std::string& file, const std::vector<std::string>& arguments,
                 Diagnostics& diagnostics) {
    root = over_base(std::move(root), file, diagnostics);
    for (auto& argument : arguments)
        if (is_config_file(argument)) overlay(root, over_base(read_yaml(argument, diagnostics), argument, diagnostics));
    for (auto& argument : arguments)
        if (!is_config_file(argument)) apply_override(root, argument, diagnostics);
    remove_nulls(root);
    return root;
}

Node merge_layers(Node root, const std::string& file, const std::vector<Layer>& layers, Diagnostics& diagnostics) {
    root = over_base(std::move(root), file, diagnostics);
    for (const auto& [text, mark] : layers) {
        std::error_code error;
        if (!is_config_file(text))
            apply_override(root, text, diagnostics, where(mark));
        else if (std::filesystem::is_regular_file(text, error))
            overlay(root, over_base(read_yaml(text, diagnostics), text, diagnostics));
        else
            diagnostics.add(mark, printable(text) + ": no such file");
    }
    remove_nulls(root);
    return root;
}

struct Wanted {
    Purpose purpose;
    int ranks;
    const DataFacts& facts;
};

Loaded load(const Node& root, const std::string& file, const Wanted& wanted, Marks& marks) {
    Loaded loaded;
    Config& config = loaded.config;
    marks.file = printable(file, 4096);
    read_config(root, config, marks);
    require_keys(config, marks, wanted.purpose);
    require_vocab(config, marks, wanted.facts);
    fill_defaults(config, marks);
    resolve_length(config, marks, wanted.purpose);
    validate_config(config, marks, wanted.purpose, wanted.ranks);
    marks.diagnostics.raise();
    resolve_by_data(config, marks, wanted.purpose, wanted.facts);
    marks.diagnostics.raise();
    config.model.attention_by = config.train.attention;
    config.model.documents = config.data.document_mask;
    loaded.micro_batch_given = config.train.micro_batch > 0;
    if (wanted.ranks > 0) resolve_ranks(config, wanted.ranks);
    if (wanted.purpose != Purpose::stored) warn_config(config, marks);
    loaded.warnings = marks.warnings;
    loaded.origins = resolved_origins(config, marks);
    for (auto& [path, text] : flatten(config)) loaded.origins.emplace(path, marks.origin(path));
    return loaded;
}

}  // namespace

bool is_config_file(const std::string& argument) {
    return argument.find('=') == std::string::npos && (argument.ends_with(".yaml") || argument.ends_with(".yml"));
}

Loaded load_layers(const std::string& file, const std::vector<Layer>& layers, Purpose purpose, int ranks,
                   const DataFacts& facts) {
    Marks marks;
    Node root = read_yaml(file, marks.diagnostics);
    return load(merge_layers(std::move(root), file, layers, marks.diagnostics), file, {purpose, ranks, facts}, marks);
}

Loaded load_config(const std::string& file, const std::vector<std::string>& overrides, Purpose purpose, int ranks,
                   const DataFacts& facts) {
    Marks marks;
    Node root = read_yaml(file, marks.diagnostics);
    return load(merge_files(std::move(root), file, overrides, marks.diagnostics), file, {purpose, ranks, facts}, marks);
}

Loaded load_config_text(const std::string& text, const std::string& name, const std::vector<std::string>& overrides,
                        Purpose purpose, int ranks, const DataFacts& facts) {
    Marks marks;
    // A manifest holds the text as one JSON string: the lines are not those of the file.
    const bool stored = purpose == Purpose::stored;
    Node root = stored ? parse_yaml_value(text, printable(name, 4096), marks.diagnostics)
                       : parse_yaml(text, name, marks.diagnostics);
    marks.first_line = stored ? 0 : 1;
    return load(merge_files(std::move(root), name, overrides, marks.diagnostics), name, {purpose, ranks, facts}, marks);
}

}  // namespace sluice
