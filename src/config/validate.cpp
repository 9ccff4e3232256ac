#include "config/validate.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/format.h"
#include "base/utf8.h"
#include "config/scalar.h"
#include "config/visit.h"

namespace sluice {
namespace {

// Each check is skipped if a key that it depends on has an error.
class Validation {
 public:
    Validation(const Config& config, Marks& marks) : c_(config), marks_(marks) {}

    void run();
    void heads();
    void rope();
    void feed_forward();
    void attention() { ranges(c_.model.attention, "model.attention", "spec of attention"); }
    void gates();
    void switch_heads();
    void data();
    void schedule();
    void training();
    void sharding(int ranks);
    void not_built();

 private:
    template <class... Path>
    bool ok(const Path&... paths) const {
        return (marks_.ok(paths) && ...);
    }
    void need(bool ok, const std::string& path, const std::string& what) {
        if (!ok) marks_.error(path, what);
    }
    template <class T>
    static std::string text(T value) {
        return write_scalar(value).text;
    }
    template <class T>
    void ranges(const PerLayer<T>& layers, const std::string& path, const std::string& has_one);
    void gate(const GateSpec& gate, const std::string& path);

    const Config& c_;
    Marks& marks_;
};

void Validation::run() {
    const std::string& name = c_.run.name;
    const bool plain =
        !name.empty() && name[0] != '.' && name.size() <= 200 && valid_utf8(name) &&
        std::none_of(name.begin(), name.end(), [](char c) { return c == '/' || (c >= 0 && c < 0x20) || c == 0x7f; });
    if (ok("run.name"))
        need(plain, "run.name", in_quotes(name) + " cannot name a folder: no '/', no leading '.', 1 to 200 bytes");
    if (ok("run.dir")) need(!c_.run.dir.empty(), "run.dir", "empty: give a folder, '.' for this one");
    if (ok("checkpoint.resume"))
        need(!c_.checkpoint.resume.empty(), "checkpoint.resume", "empty: give auto, never or a checkpoint's path");
}

void Validation::heads() {
    const ModelSpec& m = c_.model;
    if (ok("model.heads", "model.kv_heads"))
        need(m.heads % m.kv_heads == 0, "model.kv_heads",
             "heads (" + text(m.heads) + ") is not divisible by kv_heads (" + text(m.kv_heads) + ")");
    if (!ok("model.hidden", "model.heads", "model.head_dim")) return;
    if (m.head_dim == 0)
        return marks_.error("model.head_dim", "hidden (" + text(m.hidden) + ") is not divisible by heads (" +
                                                  text(m.heads) + "): give head_dim");
    need(m.heads * m.head_dim <= kMaxWidth, "model.head_dim", "heads x head_dim is more than " + text(kMaxWidth));
    need(m.head_dim % 2 == 0, "model.head_dim",
         text(m.head_dim) + " is odd: use an even number, since RoPE rotates pairs of channels");
}

void Validation::rope() {
    const RopeSpec& r = c_.model.rope;
    if (!ok("model.rope") || r.scaling == Scaling::none) return;
    const std::string word = enum_name(r.scaling);
    need(r.factor > 1, "model.rope.factor", word + " scaling needs a factor above 1, not " + text(r.factor));
    if (r.scaling == Scaling::yarn)
        need(r.original_length >= 1, "model.rope.original_length", "yarn scaling needs the trained length");
}

void Validation::feed_forward() {
    const MoeSpec& m = c_.model.moe;
    if (!ok("model.moe.experts")) return;
    if (m.experts == 0) {
        if (ok("model.ffn.hidden"))
            need(c_.model.ffn.hidden > 0, "model.ffn.hidden",
                 "0 is out of range: use 1 or more in a model without experts");
        return;
    }
    if (ok("model.moe.hidden")) need(m.hidden > 0, "model.moe.hidden", "0 is out of range: use 1 or more with experts");
    if (!ok("model.moe.top_k")) return;
    need(m.top_k > 0, "model.moe.top_k", "0 is out of range: use 1 or more with experts");
    need(m.top_k <= m.experts, "model.moe.top_k", text(m.top_k) + " is more than experts (" + text(m.experts) + ")");
}

// Ranges lie within the model's layers and do not overlap.
template <class T>
void Validation::ranges(const PerLayer<T>& layers, const std::string& path, const std::string& has_one) {
    for (size_t i = 0; i < layers.ranges.size(); i++) {
        const LayerRange& range = layers.ranges[i];
        const std::string at = join(path, range_key(range));
        if (ok("model.layers"))
            need(range.last < c_.model.layers, at,
                 "the model's layers are 0 to " + text(c_.model.layers - 1) + ", counted from 0");
        if (i > 0)
            need(layers.ranges[i - 1].last < range.first, at,
                 "overlaps " + range_key(layers.ranges[i - 1]) + ": a layer has one " + has_one);
    }
}

void Validation::gates() {
    ranges(c_.model.gates, "model.gates", "list of gates");
    each_value(c_.model.gates, "model.gates", [&](const std::vector<GateSpec>& gates, const std::string& path) {
        for (size_t j = 0; j < gates.size(); j++)
            if (const std::string at = join(path, j); ok(at, "model.qk_norm", "model.hidden")) gate(gates[j], at);
    });
}

void Validation::gate(const GateSpec& g, const std::string& path) {
    if (g.position == Position::output) {
        need(g.granularity == Granularity::elementwise, path + ".granularity",
             "there are no heads at the output position: headwise is not possible, use elementwise");
        need(g.heads == HeadSharing::specific, path + ".heads",
             std::string("there are no heads at the output position: ") + enum_name(g.heads) +
                 " is not possible, use specific");
    }
    if (g.input == GateInput::none) {
        need(!g.bias, path + ".bias", "a gate with input none is a learned constant: a bias would be a second one");
        need(!g.init_std, path + ".init_std", "a gate with input none is a constant that starts at 0: no init_std");
        need(g.heads != HeadSharing::averaged, path + ".heads",
             "the average of constants is one constant: with input none use shared");
        need(g.input_width == 0, path + ".input_width", "a gate with input none reads no channels: use 0");
        need(g.rank == 0, path + ".rank", "a gate with input none is a learned constant, not a map: use 0");
    }
    need(g.input_width <= c_.model.hidden, path + ".input_width",
         text(g.input_width) + " is more than hidden (" + text(c_.model.hidden) + "): use 0 for all channels");
    need(g.rank > 0 || g.rank_activation == RankActivation::none, path + ".rank_activation",
         std::string(enum_name(g.rank_activation)) + " stands between two maps: give rank, the width between them");
    const bool normed = c_.model.qk_norm && (g.position == Position::query || g.position == Position::key);
    const bool positive = g.activation == Activation::sigmoid || g.activation == Activation::ns_sigmoid ||
                          g.activation == Activation::softplus;
    need(!(normed && positive && g.combine == Combine::multiply && g.granularity == Granularity::headwise), path,
         std::string("a headwise ") + enum_name(g.activation) + " gate scales a whole " + enum_name(g.position) +
             " head by a positive number, which the QK norm after it cancels: use elementwise, or qk_norm false");
}

void Validation::switch_heads() {
    const SwitchHeadsSpec& s = c_.model.switch_heads;
    if (!ok("model.switch_heads") || s.target == SwitchTarget::none) return;
    need(s.experts >= 1, "model.switch_heads.experts", "switch heads need experts, 1 or more");
    need(s.top_k >= 1, "model.switch_heads.top_k", "switch heads need top_k, 1 or more");
    need(s.top_k <= s.experts, "model.switch_heads.top_k",
         text(s.top_k) + " is more than experts (" + text(s.experts) + ")");
}

void Validation::data() {
    const DataSpec& d = c_.data;
    for (size_t i = 0; i < d.train.size(); i++)
        if (const std::string path = join("data.train", i) + ".path"; ok(path))
            need(!d.train[i].path.empty(), path, "required: a file, a folder or a glob");
    std::set<std::string> names;
    for (size_t i = 0; i < d.validation.size(); i++) {
        const std::string path = join("data.validation", i), &name = d.validation[i].name;
        if (ok(path + ".name")) {
            const bool safe = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
                return (c < 0x80 && std::isalnum(c)) || c == '_' || c == '-' || c == '.';
            });
            need(safe, path + ".name", in_quotes(name) + " cannot name a metric: use letters, digits, '_', '-', '.'");
            need(names.insert(name).second, path + ".name",
                 in_quotes(name) + " names two sets: give each its own name");
        }
        if (ok(path + ".path"))
            need(!d.validation[i].path.empty(), path + ".path", "required: a file, a folder or a glob");
    }
    if (ok("data.delimiter", "model.vocab")) validate_delimiter(c_, marks_);
}

// The learning rate must not rise after the warm-up.
void Validation::schedule() {
    const ScheduleSpec& s = c_.schedule;
    const double lr = c_.optimizer.lr;
    const bool used = s.kind != ScheduleKind::constant && (s.kind != ScheduleKind::wsd || s.decay_steps > 0);
    if (!used || !marks_.given("optimizer.lr") || !ok("schedule", "optimizer.lr")) return;
    need(s.final_lr <= lr, "schedule.final_lr",
         text(s.final_lr) + " is above optimizer.lr (" + text(lr) + "), the peak rate: give at most that");
}

void Validation::training() {
    const TrainSpec& t = c_.train;
    if (ok("train.batch", "train.micro_batch") && t.micro_batch > 0)
        need(t.batch % t.micro_batch == 0, "train.micro_batch",
             "batch (" + text(t.batch) + ") is not a multiple of micro_batch (" + text(t.micro_batch) + ")");
}

void Validation::sharding(int ranks) {
    const ParallelSpec& p = c_.parallel;
    if (!ok("parallel.tensor", "parallel.expert")) return;
    if (ok("model.heads", "model.kv_heads", "model.ffn.hidden", "model.moe"))
        for (auto& [path, what] : sharding_conflicts(c_.model, p.tensor, p.expert)) marks_.error(path, what);
    if (ranks > 0 && ok("parallel.tensor", "parallel.expert", "train.batch", "train.micro_batch"))
        for (auto& [path, what] : rank_conflicts(c_, ranks)) marks_.error(path, what);
}

void Validation::not_built() {
    if (ok("data.train")) need(!c_.data.train.empty(), "data.train", "empty: name at least one source of tokens");
}

}  // namespace

void validate_delimiter(const Config& config, Marks& marks) {
    const int64_t vocab = config.model.vocab;
    const auto& delimiter = config.data.delimiter;
    if (!delimiter || vocab == 0 || *delimiter < vocab) return;
    marks.error("data.delimiter", std::to_string(*delimiter) + " is not an id of a vocabulary of " +
                                      std::to_string(vocab) + ": raise model.vocab to " +
                                      std::to_string(*delimiter + 1) + ", or give another id");
}

void validate_config(const Config& config, Marks& marks, Purpose purpose, int ranks) {
    Validation validation(config, marks);
    validation.run();
    validation.heads();
    validation.rope();
    validation.feed_forward();
    validation.attention();
    validation.gates();
    validation.switch_heads();
    validation.data();
    if (purpose != Purpose::stored) validation.schedule();
    validation.training();
    validation.sharding(ranks);
    if (purpose == Purpose::train) validation.not_built();
}

}  // namespace sluice
