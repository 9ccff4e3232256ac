#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sluice {

double learning_rate(const Config& config, int64_t step) {
    const ScheduleSpec& n = config.schedule;
    const double lr = config.optimizer.lr;
    const int64_t steps = config.train.steps;
    const bool warming_up = step < n.warmup_steps;
    const double ramp = warming_up ? lr * double(step) / double(n.warmup_steps) : lr;
    if (n.kind == ScheduleKind::wsd) {
        const int64_t left = steps - step;
        if (left >= n.decay_steps) return ramp;
        return std::min(ramp, n.final_lr + (lr - n.final_lr) * double(left) / double(n.decay_steps));
    }
    if (warming_up || n.kind == ScheduleKind::constant || steps <= n.warmup_steps) return ramp;
    const double done = double(step - n.warmup_steps) / double(steps - n.warmup_steps);
    if (n.kind == ScheduleKind::linear) return n.final_lr + (lr - n.final_lr) * (1 - done);
    return n.final_lr + (lr - n.final_lr) * (1 + std::cos(std::numbers::pi * done)) / 2;
}

}  // namespace sluice
