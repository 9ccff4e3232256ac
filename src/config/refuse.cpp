#include "config/refuse.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "config/scalar.h"
#include "config/visit.h"

namespace sluice {
namespace {

// Far above any model, far below where products of three dimensions overflow 64 bits.
constexpr int64_t kMaxWidth = 1 << 20, kMaxLayers = 10000, kMaxVocab = INT32_MAX, kMaxCount = int64_t{1} << 40;

class Refusal {
 public:
    Refusal(const Config& config, const Marks& marks) : c_(config), marks_(marks) {}

    void values() const {
        run();
        sizes();
        norms_and_rope();
        data();
        training();
        schedules();
        parallel();
        every();
    }
    void combinations() const {
        heads();
        gates();
        switch_heads();
        moe();
        sharding();
    }
    void not_built(Purpose purpose) const;

 private:
    void need(bool ok, const std::string& path, const std::string& what) const {
        if (!ok) marks_.refuse(path, what);
    }
    template <class T>
    void within(const std::string& path, T value, T low, T high) const {
        need(value >= low, path, text(value) + " is less than " + text(low));
        need(value <= high, path, text(value) + " is more than " + text(high));
    }
    template <class T>
    static std::string text(T value) {
        return write_scalar(value).text;
    }
    void at_least_zero(const std::string& path, double value) const {
        need(value >= 0, path, text(value) + " is negative");
    }
    void above_zero(const std::string& path, double value) const {
        need(value > 0, path, text(value) + " is not above 0");
    }
    void count(const std::string& path, int64_t value, int64_t low = 0) const { within(path, value, low, kMaxCount); }

    void run() const;
    void sizes() const;
    void norms_and_rope() const;
    void data() const;
    void training() const;
    void schedules() const;
    void parallel() const;
    void every() const;
    void heads() const;
    void gates() const;
    void gate(const GateSpec& gate, const std::string& path) const;
    void switch_heads() const;
    void moe() const;
    void sharding() const;

    const Config& c_;
    const Marks& marks_;
};

void Refusal::run() const {
    const std::string& name = c_.run.name;
    const bool plain =
        !name.empty() && name[0] != '.' && name.size() <= 200 && valid_utf8(name) &&
        std::none_of(name.begin(), name.end(), [](char c) { return c == '/' || (c >= 0 && c < 0x20) || c == 0x7f; });
    need(plain, "run.name", in_quotes(name) + " cannot name a folder: no '/', no leading '.', 1 to 200 bytes");
    need(!c_.run.dir.empty(), "run.dir", "empty: give a folder, '.' for this one");
    count("run.seed", c_.run.seed);
}

void Refusal::sizes() const {
    const ModelSpec& m = c_.model;
    within<int64_t>("model.layers", m.layers, 1, kMaxLayers);
    within<int64_t>("model.hidden", m.hidden, 1, kMaxWidth);
    within<int64_t>("model.heads", m.heads, 1, kMaxWidth);
    within<int64_t>("model.kv_heads", m.kv_heads, 1, kMaxWidth);
    need(m.head_dim != 0 || marks_.given("model.head_dim"), "model.head_dim",
         "hidden (" + text(m.hidden) + ") is not divisible by heads (" + text(m.heads) + "): give head_dim");
    within<int64_t>("model.head_dim", m.head_dim, 1, kMaxWidth);
    need(m.heads * m.head_dim <= kMaxWidth, "model.head_dim", "heads x head_dim is more than " + text(kMaxWidth));
    within<int64_t>("model.vocab", m.vocab, 2, kMaxVocab);
    if (m.moe.experts == 0 || marks_.given("model.ffn.hidden"))
        within<int64_t>("model.ffn.hidden", m.ffn.hidden, m.moe.experts == 0, kMaxWidth);
}

void Refusal::norms_and_rope() const {
    const ModelSpec& m = c_.model;
    const RopeSpec& r = m.rope;
    above_zero("model.norm_eps", m.norm_eps);
    above_zero("model.init_std", m.init_std);
    at_least_zero("model.residual_clip", m.residual_clip);
    count("model.attention.window", m.attention.window);
    need(r.theta > 1, "model.rope.theta", text(r.theta) + " is not above 1");
    above_zero("model.rope.factor", r.factor);
    count("model.rope.original_length", r.original_length);
    need(m.head_dim % 2 == 0, "model.head_dim",
         text(m.head_dim) + " is odd: RoPE rotates pairs of channels, so it must be even");
    if (r.scaling == Scaling::none) return;
    const std::string word = to_word(r.scaling);
    need(r.factor > 1, "model.rope.factor", word + " scaling needs a factor above 1, not " + text(r.factor));
    if (r.scaling == Scaling::yarn)
        need(r.original_length >= 1, "model.rope.original_length", "yarn scaling needs the length trained before");
}

void Refusal::data() const {
    const DataSpec& d = c_.data;
    within<int64_t>("data.sequence_length", d.sequence_length, 1, 1 << 30);
    for (size_t i = 0; i < d.train.size(); i++) {
        const std::string path = join("data.train", i);
        need(!d.train[i].path.empty(), path + ".path", "required: a file, a folder or a glob");
        above_zero(path + ".weight", d.train[i].weight);
    }
    std::set<std::string> names;
    for (size_t i = 0; i < d.validation.size(); i++) {
        const std::string path = join("data.validation", i), &name = d.validation[i].name;
        const bool safe = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
            return (c < 0x80 && std::isalnum(c)) || c == '_' || c == '-' || c == '.';
        });
        need(safe, path + ".name", in_quotes(name) + " cannot name a metric: use letters, digits, '_', '-', '.'");
        need(names.insert(name).second, path + ".name", in_quotes(name) + " names two sets");
        need(!d.validation[i].path.empty(), path + ".path", "required: a file, a folder or a glob");
    }
    if (d.delimiter)
        need(*d.delimiter >= 0 && *d.delimiter < c_.model.vocab, "data.delimiter",
             text(*d.delimiter) + " is no id of a vocabulary of " + text(c_.model.vocab));
}

void Refusal::training() const {
    const TrainSpec& t = c_.train;
    const OptimizerSpec& o = c_.optimizer;
    count("train.steps", t.steps);
    within<int64_t>("train.batch", t.batch, 1, 1 << 30);
    within<int64_t>("train.micro_batch", t.micro_batch, 0, 1 << 30);
    if (t.micro_batch > 0)
        need(t.batch % t.micro_batch == 0, "train.micro_batch",
             "batch (" + text(t.batch) + ") is not a multiple of micro_batch (" + text(t.micro_batch) + ")");
    at_least_zero("optimizer.lr", o.lr);
    for (auto [key, beta] : {std::pair{"beta1", o.beta1}, {"beta2", o.beta2}})
        need(beta >= 0 && beta < 1, join("optimizer", key), text(beta) + " is not in [0, 1)");
    above_zero("optimizer.eps", o.eps);
    at_least_zero("optimizer.weight_decay", o.weight_decay);
    at_least_zero("optimizer.grad_clip", o.grad_clip);
}

void Refusal::schedules() const {
    const ScheduleSpec& s = c_.schedule;
    count("schedule.warmup_steps", s.warmup_steps);
    count("schedule.decay_steps", s.decay_steps);
    at_least_zero("schedule.final_lr", s.final_lr);
}

void Refusal::parallel() const {
    const ParallelSpec& p = c_.parallel;
    within<int64_t>("parallel.tensor", p.tensor, 1, 1 << 20);
    within<int64_t>("parallel.expert", p.expert, 1, 1 << 20);
    within<int64_t>("parallel.zero", p.zero, 0, 1);
    above_zero("parallel.timeout", p.timeout);
}

void Refusal::every() const {
    count("checkpoint.every", c_.checkpoint.every);
    count("checkpoint.keep", c_.checkpoint.keep);
    need(!c_.checkpoint.resume.empty(), "checkpoint.resume", "empty: give auto, never or a checkpoint's path");
    count("eval.every", c_.eval.every);
    count("eval.batches", c_.eval.batches);
    count("probes.every", c_.probes.every);
    count("sample.every", c_.sample.every);
    count("sample.tokens", c_.sample.tokens, 1);
    count("log.every", c_.log.every, 1);
}

void Refusal::heads() const {
    const ModelSpec& m = c_.model;
    need(m.heads % m.kv_heads == 0, "model.kv_heads",
         "heads (" + text(m.heads) + ") is not divisible by kv_heads (" + text(m.kv_heads) + ")");
}

void Refusal::gates() const {
    const GateMap& map = c_.model.gates;
    for (size_t i = 0; i < map.ranges.size(); i++) {
        const GateMap::Range& range = map.ranges[i];
        const std::string path = map.per_layer ? join("model.gates", range_key(range)) : "model.gates";
        if (map.per_layer) {
            need(range.last < c_.model.layers, path,
                 "the model's layers are 0 to " + text(c_.model.layers - 1) + ", counted from 0");
            need(i == 0 || map.ranges[i - 1].last < range.first, path,
                 "overlaps " + range_key(map.ranges[i ? i - 1 : 0]) + ": a layer has one list of gates");
        }
        for (size_t j = 0; j < range.gates.size(); j++) gate(range.gates[j], join(path, j));
    }
}

void Refusal::gate(const GateSpec& g, const std::string& path) const {
    if (g.init_std) at_least_zero(path + ".init_std", *g.init_std);
    if (g.position == Position::output) {
        need(g.granularity == Granularity::elementwise, path + ".granularity",
             "there are no heads at the output position: headwise cannot be, use elementwise");
        need(
            g.heads == HeadSharing::specific, path + ".heads",
            std::string("there are no heads at the output position: ") + to_word(g.heads) + " cannot be, use specific");
    }
    if (g.input == GateInput::none) {
        need(!g.bias, path + ".bias", "a gate with input none is a learned constant: a bias would be a second one");
        need(!g.init_std, path + ".init_std", "a gate with input none is a constant that starts at 0: no init_std");
        need(g.heads != HeadSharing::averaged, path + ".heads",
             "the average of constants is one constant: with input none use shared");
    }
    const bool normed = c_.model.qk_norm && (g.position == Position::query || g.position == Position::key);
    const bool positive = g.activation == Activation::sigmoid || g.activation == Activation::ns_sigmoid;
    need(!(normed && positive && g.combine == Combine::multiply && g.granularity == Granularity::headwise), path,
         std::string("a headwise ") + to_word(g.activation) + " gate scales a whole " + to_word(g.position) +
             " head by a positive number, which the QK norm after it cancels: use elementwise, or qk_norm false");
}

void Refusal::switch_heads() const {
    const SwitchHeadsSpec& s = c_.model.switch_heads;
    within<int64_t>("model.switch_heads.experts", s.experts, 0, 4096);
    within<int64_t>("model.switch_heads.top_k", s.top_k, 0, 4096);
    if (s.target == SwitchTarget::none) return;
    need(s.experts >= 1, "model.switch_heads.experts", "switch heads need experts, 1 or more");
    need(s.top_k >= 1, "model.switch_heads.top_k", "switch heads need top_k, 1 or more");
    need(s.top_k <= s.experts, "model.switch_heads.top_k",
         text(s.top_k) + " is more than experts (" + text(s.experts) + ")");
}

void Refusal::moe() const {
    const MoeSpec& m = c_.model.moe;
    within<int64_t>("model.moe.experts", m.experts, 0, 65536);
    within<int64_t>("model.moe.shared_hidden", m.shared_hidden, 0, kMaxWidth);
    at_least_zero("model.moe.balance_coef", m.balance_coef);
    at_least_zero("model.moe.z_coef", m.z_coef);
    at_least_zero("model.moe.bias_rate", m.bias_rate);
    const int64_t least = m.experts > 0;
    within<int64_t>("model.moe.hidden", m.hidden, least, kMaxWidth);
    count("model.moe.top_k", m.top_k, least);
    if (m.experts > 0)
        need(m.top_k <= m.experts, "model.moe.top_k",
             text(m.top_k) + " is more than experts (" + text(m.experts) + ")");
}

// What a tensor group cuts, it cuts into equal parts (but the vocabulary).
void Refusal::sharding() const {
    const ModelSpec& m = c_.model;
    const int64_t tensor = c_.parallel.tensor, expert = c_.parallel.expert;
    const auto divides = [&](const char* what, int64_t value) {
        need(value % tensor == 0, "parallel.tensor",
             text(tensor) + " ranks cannot share " + what + " (" + text(value) + ") evenly: use a divisor of it");
    };
    divides("model.heads", m.heads);
    need(m.kv_heads % tensor == 0 || tensor % m.kv_heads == 0, "parallel.tensor",
         text(tensor) + " ranks cannot share model.kv_heads (" + text(m.kv_heads) +
             ") evenly, nor each of these a number of ranks: use a divisor or a multiple of it");
    if (m.moe.experts == 0) {
        divides("model.ffn.hidden", m.ffn.hidden);
        need(expert == 1, "parallel.expert", "the model has no experts to share: use 1");
        return;
    }
    divides("model.moe.hidden", m.moe.hidden);
    divides("model.moe.shared_hidden", m.moe.shared_hidden);
    need(m.moe.experts % expert == 0, "parallel.expert",
         text(expert) + " ranks cannot share model.moe.experts (" + text(m.moe.experts) +
             ") evenly: use a divisor of it");
}

void Refusal::not_built(Purpose purpose) const {
    if (purpose == Purpose::plan) return;
    need(!c_.data.train.empty(), "data.train", "empty: name at least one source of tokens");
    need(c_.device != Device::cuda, "device", "this build has no CUDA backend: use cpu or auto");
    need(c_.train.precision != Precision::bf16, "train.precision",
         "the CPU backend computes in fp32, not bf16: use fp32");
    need(c_.probes.every == 0, "probes.every", "probes during training are not built yet: use 0");
}

}  // namespace

void refuse_config(const Config& config, const Marks& marks, Purpose purpose) {
    const Refusal refusal(config, marks);
    refusal.values();
    refusal.combinations();
    refusal.not_built(purpose);
}

}  // namespace sluice
