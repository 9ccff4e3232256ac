#include "config/warn.h"

#include "base/format.h"
#include "config/scalar.h"
#include "config/tree.h"
#include "config/visit.h"

namespace sluice {
namespace {

template <class T>
std::string text(T value) {
    return write_scalar(value).text;
}

void warn_idle_schedule(const ScheduleSpec& s, Marks& marks) {
    const std::string kind = enum_name(s.kind);
    if (s.decay_steps > 0 && s.kind != ScheduleKind::wsd)
        marks.warn("schedule.decay_steps", text(s.decay_steps) + " does nothing with schedule.kind " + kind +
                                               ": it is the length of wsd's final line");
    if (s.final_lr > 0 && s.kind == ScheduleKind::constant)
        marks.warn("schedule.final_lr",
                   text(s.final_lr) + " does nothing with schedule.kind constant: the rate stays at optimizer.lr");
    if (s.final_lr > 0 && s.kind == ScheduleKind::wsd && s.decay_steps == 0)
        marks.warn("schedule.final_lr", text(s.final_lr) +
                                            " does nothing with schedule.kind wsd and no schedule.decay_steps: the "
                                            "rate stays at optimizer.lr");
}

void warn_idle_optimizer(const OptimizerSpec& n, Marks& marks) {
    if (n.momentum != OptimizerSpec{}.momentum && n.kind != OptimizerKind::muon)
        marks.warn("optimizer.momentum",
                   text(n.momentum) + " does nothing with optimizer.kind " + enum_name(n.kind) + ": only muon has it");
}

void warn_cut_schedule(const Config& c, Marks& marks) {
    const ScheduleSpec& s = c.schedule;
    const int64_t steps = c.train.steps;
    const std::string run = "a run of " + text(steps) + (steps == 1 ? " step" : " steps");
    if (s.warmup_steps > steps)
        return marks.warn("schedule.warmup_steps",
                          text(s.warmup_steps) + " steps of warm-up in " + run + ": it ends at " +
                              text(c.optimizer.lr * double(steps) / double(s.warmup_steps)) +
                              " and never reaches optimizer.lr (" + text(c.optimizer.lr) + ")");
    if (s.warmup_steps == steps && s.kind != ScheduleKind::constant)
        return marks.warn("schedule.warmup_steps", text(s.warmup_steps) + " steps of warm-up are all of " + run +
                                                       ": no step is left for " + enum_name(s.kind));
    if (s.kind != ScheduleKind::wsd || s.warmup_steps + s.decay_steps <= steps) return;
    if (s.warmup_steps == 0)
        return marks.warn("schedule.decay_steps", text(s.decay_steps) + " steps of decay in " + run +
                                                      ": the rate starts below optimizer.lr, already in decay");
    marks.warn("schedule.decay_steps", text(s.warmup_steps) + " steps of warm-up and " + text(s.decay_steps) +
                                           " of decay overlap in " + run +
                                           ": the lower of the two rates applies, and optimizer.lr is never reached");
}

void warn_idle_attention(const ModelSpec& m, int64_t length, Marks& marks) {
    each_value(m.attention, "model.attention", [&](const AttentionSpec& spec, const std::string& path) {
        if (spec.rela_gate && spec.kind != AttentionKind::rela)
            marks.warn(path + ".rela_gate",
                       std::string("does nothing with kind ") + enum_name(spec.kind) + ": only rela has it");
        if (spec.window >= length)
            marks.warn(path + ".window", text(spec.window) + " does nothing: sequences have " +
                                             counted(length, "token") + " (0: no window)");
    });
}

void warn_idle_run(const Config& c, Marks& marks) {
    if (c.eval.every > 0 && c.data.validation.empty() && !c.data.train.empty())
        marks.warn("eval.every", text(c.eval.every) + ", but data.validation is empty: nothing is evaluated");
    const int64_t steps = c.train.steps, every = c.checkpoint.every;
    // A short trial run is cheap to repeat.
    if (marks.given("checkpoint.every") && every > steps && steps > CheckpointSpec{}.every)
        marks.warn("checkpoint.every", text(every) + " is more than the run's " + text(steps) +
                                           " steps: the only checkpoint is the one at the end");
    if (c.spikes.action == SpikeAction::rewind && every == 0)
        marks.warn("spikes.action",
                   "rewind without checkpoint.every: there is no checkpoint to go back to, so it skips");
}

const Node* find(const Node& tree, const std::string& path) {
    const Node* node = &tree;
    for (size_t at = 0; node && at <= path.size();) {
        const size_t dot = std::min(path.find('.', at), path.size());
        node = node->find(path.substr(at, dot - at));
        at = dot + 1;
    }
    return node;
}

// Keys of a feature whose own key was forgotten.
void warn_forgotten(const Config& config, Marks& marks) {
    const Node now = to_tree(config), before = to_tree(Config{});
    const std::pair<const char*, std::vector<const char*>> switches[] = {
        {"model.moe.experts",
         {"top_k", "hidden", "shared_hidden", "norm_top_k", "balance", "balance_coef", "z_coef", "bias_rate"}},
        {"model.rope.scaling", {"factor", "original_length"}},
        {"model.switch_heads.target", {"experts", "top_k"}},
        {"spikes.action", {"window", "threshold", "most"}},
        {"sample.every", {"prompt", "tokens"}},
    };
    for (const auto& [key, others] : switches) {
        if (marks.given(key)) continue;
        const std::string section = std::string(key).substr(0, std::string(key).rfind('.') + 1);
        for (const char* other : others)
            if (const std::string path = section + other;
                marks.given(path) && find(now, path)->text != find(before, path)->text)
                marks.warn(path, std::string("does nothing without ") + key);
    }
}

}  // namespace

void warn_config(const Config& config, Marks& marks) {
    warn_idle_schedule(config.schedule, marks);
    if (config.train.steps > 0) warn_cut_schedule(config, marks);
    warn_idle_optimizer(config.optimizer, marks);
    warn_idle_attention(config.model, config.data.sequence_length, marks);
    warn_idle_run(config, marks);
    warn_forgotten(config, marks);
}

}  // namespace sluice
