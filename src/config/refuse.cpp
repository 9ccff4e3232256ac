#include "config/refuse.h"

#include <algorithm>
#include <set>

#include "base/check.h"

namespace sluice {
namespace {

class Judge {
 public:
    Judge(const Loaded& loaded, const std::string& file) : c_(loaded.config), origins_(loaded.origins), file_(file) {}

    void run(Purpose purpose) {
        model();
        attention();
        for (const auto& range : c_.model.gates.ranges) ranges(range);
        switch_heads();
        moe();
        data();
        training();
        schedule();
        not_built(purpose);
    }

 private:
    // Refuses unless good.
    void need(bool good, const std::string& path, const std::string& why) const {
        if (good) return;
        const auto it = origins_.find(path);
        const bool known = it != origins_.end() && it->second != "default";
        fail(Exit::config, (known ? it->second : file_) + ": " + path + ": " + why);
    }
    void at_least(double value, double least, const std::string& path) const {
        need(value >= least, path,
             "must be at least " + (least == 0 ? std::string("0") : std::to_string(int64_t(least))));
    }
    void fraction(double value, const std::string& path) const {
        need(value >= 0 && value < 1, path, "must be within [0, 1)");
    }

    void model() const {
        const ModelSpec& m = c_.model;
        at_least(double(m.layers), 1, "model.layers");
        at_least(double(m.hidden), 1, "model.hidden");
        at_least(double(m.heads), 1, "model.heads");
        at_least(double(m.kv_heads), 1, "model.kv_heads");
        at_least(double(m.head_dim), 1, "model.head_dim");
        at_least(double(m.vocab), 2, "model.vocab");
        for (const auto& [value, path] : {std::pair{m.layers, "model.layers"},
                                          {m.hidden, "model.hidden"},
                                          {m.heads, "model.heads"},
                                          {m.head_dim, "model.head_dim"},
                                          {m.vocab, "model.vocab"},
                                          {m.ffn.hidden, "model.ffn.hidden"}})
            need(value <= (int64_t{1} << 31), path, "is too large");
        need(m.heads % m.kv_heads == 0, "model.kv_heads",
             "heads " + std::to_string(m.heads) + " is not divisible by kv_heads " + std::to_string(m.kv_heads));
        need(m.head_dim % 2 == 0, "model.head_dim", "RoPE rotates halves: head_dim must be even");
        if (m.moe.experts == 0) at_least(double(m.ffn.hidden), 1, "model.ffn.hidden");
        need(m.norm_eps > 0, "model.norm_eps", "must be above 0");
        at_least(m.init_std, 0, "model.init_std");
        at_least(m.residual_clip, 0, "model.residual_clip");
    }

    void attention() const {
        const RopeSpec& r = c_.model.rope;
        need(r.theta > 1, "model.rope.theta", "must be above 1");
        at_least(double(c_.model.attention.window), 0, "model.attention.window");
        if (r.scaling == Scaling::none) return;
        need(r.factor >= 1, "model.rope.factor", "must be at least 1");
        if (r.scaling == Scaling::yarn)
            need(r.original_length >= 1, "model.rope.original_length", "yarn needs the trained length");
    }

    void ranges(const GateMap::Range& range) const {
        const GateMap& gates = c_.model.gates;
        std::string path = "model.gates";
        if (gates.per_layer) {
            path +=
                "." + std::to_string(range.first) + (range.last == range.first ? "" : "-" + std::to_string(range.last));
            if (!origins_.count(path))
                path = "model.gates." + std::to_string(range.first) + "-" + std::to_string(range.last);
            need(range.last < c_.model.layers, path,
                 "the model has layers 0 to " + std::to_string(c_.model.layers - 1));
            for (const auto& other : gates.ranges)
                need(&other == &range || other.last < range.first || range.last < other.first, path,
                     "overlaps another range");
        }
        for (size_t j = 0; j < range.gates.size(); j++) gate(range.gates[j], path + "." + std::to_string(j));
    }

    void gate(const GateSpec& g, const std::string& path) const {
        if (g.position == Position::output) {
            need(g.granularity == Granularity::elementwise, path + ".granularity",
                 "the output position has no heads left: use elementwise");
            need(g.heads == HeadSharing::specific, path + ".heads",
                 "the output position has no heads left to share: use specific");
        }
        if (g.input == GateInput::none) {
            need(!g.bias, path + ".bias", "a constant score needs no bias: it is one (input: none)");
            need(!g.init_std, path + ".init_std", "constants start at 0 (input: none)");
            need(g.heads != HeadSharing::averaged, path + ".heads",
                 "the mean of constants is one constant: use shared (input: none)");
        }
        if (g.init_std) need(*g.init_std >= 0, path + ".init_std", "must be at least 0");
        const bool before_norm = c_.model.qk_norm && (g.position == Position::query || g.position == Position::key);
        const bool positive = g.activation == Activation::sigmoid || g.activation == Activation::ns_sigmoid;
        need(!(before_norm && positive && g.granularity == Granularity::headwise && g.combine == Combine::multiply),
             path, "a positive factor on a whole head has no effect where qk_norm follows: the norm cancels it");
    }

    void switch_heads() const {
        const SwitchHeadsSpec& s = c_.model.switch_heads;
        if (s.target == SwitchTarget::none) {
            need(s.experts == 0 && s.top_k == 0, "model.switch_heads.target",
                 "experts and top_k need a target: v or kv");
            return;
        }
        at_least(double(s.experts), 1, "model.switch_heads.experts");
        need(s.top_k >= 1 && s.top_k <= s.experts, "model.switch_heads.top_k",
             "must be within 1 and experts (" + std::to_string(s.experts) + ")");
    }

    void moe() const {
        const MoeSpec& m = c_.model.moe;
        at_least(double(m.experts), 0, "model.moe.experts");
        if (m.experts == 0) return;
        need(m.top_k >= 1 && m.top_k <= m.experts, "model.moe.top_k",
             "must be within 1 and experts (" + std::to_string(m.experts) + ")");
        at_least(double(m.hidden), 1, "model.moe.hidden");
        at_least(double(m.shared_hidden), 0, "model.moe.shared_hidden");
        for (const auto& [value, path] : {std::pair{m.balance_coef, "model.moe.balance_coef"},
                                          {m.z_coef, "model.moe.z_coef"},
                                          {m.bias_rate, "model.moe.bias_rate"}})
            at_least(value, 0, path);
    }

    void data() const {
        const DataSpec& d = c_.data;
        at_least(double(d.sequence_length), 1, "data.sequence_length");
        for (size_t i = 0; i < d.train.size(); i++) {
            const std::string path = "data.train." + std::to_string(i);
            need(!d.train[i].path.empty(), path + ".path", "is required");
            need(d.train[i].weight > 0, path + ".weight", "must be above 0");
        }
        std::set<std::string> names;
        for (size_t i = 0; i < d.validation.size(); i++) {
            const std::string path = "data.validation." + std::to_string(i), &name = d.validation[i].name;
            need(!d.validation[i].path.empty(), path + ".path", "is required");
            const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
                return std::isalnum(c) || c == '_' || c == '-' || c == '.';
            });
            need(plain, path + ".name", "a name of letters, digits, '_', '-' and '.' is required");
            need(names.insert(name).second, path + ".name", "'" + name + "' stands twice");
        }
        if (d.delimiter)
            need(*d.delimiter >= 0 && *d.delimiter < c_.model.vocab, "data.delimiter",
                 "is not an id of the vocabulary");
    }

    void training() const {
        const OptimizerSpec& o = c_.optimizer;
        const std::string& name = c_.run.name;
        need(!name.empty() && name[0] != '.' && name.find('/') == std::string::npos, "run.name",
             "must be a plain folder name");
        need(c_.run.seed >= 0, "run.seed", "must be at least 0");
        at_least(double(c_.train.steps), 0, "train.steps");
        at_least(double(c_.train.batch), 1, "train.batch");
        at_least(double(c_.train.micro_batch), origins_.at("train.micro_batch") == "default" ? 0 : 1,
                 "train.micro_batch");
        at_least(o.lr, 0, "optimizer.lr");
        fraction(o.beta1, "optimizer.beta1");
        fraction(o.beta2, "optimizer.beta2");
        need(o.eps > 0, "optimizer.eps", "must be above 0");
        at_least(o.weight_decay, 0, "optimizer.weight_decay");
        at_least(o.grad_clip, 0, "optimizer.grad_clip");
        for (const auto& [value, path] : {std::pair{c_.checkpoint.every, "checkpoint.every"},
                                          {c_.checkpoint.keep, "checkpoint.keep"},
                                          {c_.eval.every, "eval.every"},
                                          {c_.eval.batches, "eval.batches"},
                                          {c_.probes.every, "probes.every"},
                                          {c_.sample.every, "sample.every"},
                                          {c_.log.every, "log.every"}})
            at_least(double(value), 0, path);
        at_least(double(c_.sample.tokens), 1, "sample.tokens");
        need(c_.parallel.timeout > 0, "parallel.timeout", "must be above 0");
        need(!c_.checkpoint.resume.empty(), "checkpoint.resume", "auto, never, or a checkpoint's path");
    }

    void schedule() const {
        const ScheduleSpec& s = c_.schedule;
        at_least(double(s.warmup_steps), 0, "schedule.warmup_steps");
        at_least(double(s.decay_steps), 0, "schedule.decay_steps");
        at_least(s.final_lr, 0, "schedule.final_lr");
    }

    void not_built(Purpose purpose) const {
        if (purpose == Purpose::train)
            need(c_.model.moe.experts == 0, "model.moe.experts", "training mixtures of experts is not built yet");
        need(c_.parallel.tensor == 1, "parallel.tensor", "tensor parallelism is not built yet: use 1");
        need(c_.parallel.expert == 1, "parallel.expert", "expert parallelism is not built yet: use 1");
        need(!c_.parallel.sequence, "parallel.sequence", "sequence parallelism is not built yet: use false");
        need(c_.parallel.zero == 0, "parallel.zero", "ZeRO is not built yet: use 0");
        need(c_.device != Device::cuda, "device", "this build has no CUDA backend: use cpu");
        need(c_.train.precision == Precision::fp32, "train.precision",
             "the CPU backend computes in fp32: bf16 is not built yet");
        need(c_.probes.every == 0, "probes.every", "probes are not built yet: use 0");
    }

    const Config& c_;
    const std::map<std::string, std::string>& origins_;
    std::string file_;
};

}  // namespace

void refuse(const Loaded& loaded, const std::string& file, Purpose purpose) { Judge(loaded, file).run(purpose); }

}  // namespace sluice
