// Every key with type, default, range and meaning, from the same fields that are loaded.
#include <algorithm>

#include "base/json.h"
#include "config/load.h"
#include "config/scalar.h"
#include "config/visit.h"

namespace sluice {
namespace {

struct Key {
    std::string path, type, value, range, help;
};

template <class T>
void show(const T& field, Key& key) {
    const std::string name = type_name(field);  // "an integer"
    key.type = name.substr(name.starts_with("a") ? name.find(' ') + 1 : 0);
    key.value = scalar_text(write_scalar(field));
    if constexpr (NamedEnum<T>) key.type = "word", key.range = all_enum_names<T>();
}
template <class T>
void show(const std::optional<T>&, Key& key) {
    show(T{}, key), key.value = "null";
}
template <class T>
void show(const std::vector<T>&, Key& key) {
    key.type = "list", key.value = "[]";
}
template <class T>
void show(const PerLayer<T>&, Key& key) {
    key.type = Spec<T> ? "map" : "list or map", key.value = Spec<T> ? "{}" : "[]";
}

std::vector<Key> all_keys() {
    std::vector<Key> keys{
        {"base", "text", "-", "-", "another config that this one is merged over; its path is relative to this one"}};
    walk_keys(Config{}, "", [&](auto& path, auto& field, auto* help, const Attributes& attributes) {
        if constexpr (!Spec<std::decay_t<decltype(field)>>) {
            Key key{path, "", "", describe(attributes.range), help};
            show(field, key);
            std::string left_out = enum_name(attributes.required);
            if (*attributes.default_from) left_out = std::string("default: ") + attributes.default_from;
            if (!left_out.empty()) key.value = "-", key.help += " (" + left_out + ")";
            if (key.range.empty()) key.range = "-";
            keys.push_back(key);
        }
    });
    return keys;
}

constexpr char kHead[] = R"(# Config keys

Printed by `sluice config --reference`. A config is YAML; a key that is not given has its default. `N` is the index of a
list's element, from 0. On a command line a key is written with dots: `optimizer.lr=4e-3`, `model.gates=[]`,
`data.train.0.weight=2`. `sluice config FILE` prints the resolved config, each value with its origin.

More files may follow the first, as in `sluice train a.yaml mine.yaml optimizer.lr=4e-3`: each is merged over those before
it, as a file is over its `base`, and `key=value` over all. In place of a config, a run's folder stands for its
`config.yaml`, and with `config`, `plan` and `bench` a checkpoint for the config that it was made with; the origin of its
values is then the checkpoint's `manifest.json`.

Numbers are decimal and finite, in configs and as values of options: integers as `524288`, `524_288` or `2e9`, without
leading zeros. An unknown key is an error that names the closest known key, or the keys that are known in its place.

`model.attention` is one spec for all layers, `{kind: rela, window: 64}`, or a map of layer ranges to specs,
`{0-3: {window: 64}, 4: {kind: rela}}`. Layers count from 0, and both ends of a range are included. A layer that is in no
range has the defaults. `model.gates` is a list for all layers, or a map of layer ranges to lists. On a command line a range
is part of the key, as in `model.attention.0-3.window=64`, or the whole map is given. Maps are not merged: a later file that
gives ranges, or one spec after ranges, replaces what was given before.

The length of a run is one of `train.steps`, `train.tokens` and `train.epochs`; an epoch is as many samples as all sources
have together, whatever their weights. `train.steps=null` withdraws what a base file gives. Without `model.vocab` the
vocabulary is that of the tokenizer recorded beside the shards. A run's `config.yaml` and its checkpoints hold the derived
steps and vocabulary.

The learning rate rises linearly over `schedule.warmup_steps`, then falls to `schedule.final_lr` at the last step: along a
`cosine`, along a line (`linear`), or only over the last `schedule.decay_steps` (`wsd`); `constant` does not fall. A run may
be shorter than its warm-up and decay. Where the two overlap, the lower of the two rates applies, so that the rate never
jumps. Such a run, and keys that do nothing, give warnings on stderr and in `sluice config`.
)";

std::string row(const std::vector<std::string>& cells, const std::vector<size_t>& widths) {
    std::string text = "|";
    for (size_t i = 0; i < cells.size(); i++)
        text += " " + cells[i] + (i + 1 < cells.size() ? std::string(widths[i] - cells[i].size(), ' ') : "") + " |";
    return text + "\n";
}

}  // namespace

std::string reference() {
    std::vector<std::vector<std::string>> rows{{"key", "type", "default", "range", "meaning"}};
    for (auto& key : all_keys()) rows.push_back({key.path, key.type, key.value, key.range, key.help});
    std::vector<size_t> widths(rows[0].size());
    for (auto& cells : rows)
        for (size_t i = 0; i < cells.size(); i++) widths[i] = std::max(widths[i], cells[i].size());
    std::string text = std::string(kHead) + "\n" + row(rows[0], widths) + "|";
    for (size_t i = 0; i < widths.size(); i++)
        text += std::string(i + 1 < widths.size() ? widths[i] + 2 : 9, '-') + "|";
    text += "\n";
    for (size_t i = 1; i < rows.size(); i++) text += row(rows[i], widths);
    return text;
}

std::string reference_json() {
    auto object = Json::object();
    for (auto& key : all_keys())
        object[key.path] = {{"type", key.type}, {"default", key.value}, {"range", key.range}, {"help", key.help}};
    return object.dump();
}

}  // namespace sluice
