#include "train/schedule.h"

#include <cmath>
#include <numbers>

namespace sluice {

double learning_rate(const Config& config, int64_t step) {
    const ScheduleSpec& n = config.schedule;
    const double lr = config.optimizer.lr;
    const int64_t steps = config.train.steps;
    if (step < n.warmup_steps) return lr * double(step) / double(n.warmup_steps);
    switch (n.kind) {
        case ScheduleKind::cosine: {
            if (steps <= n.warmup_steps) return lr;
            const double done = double(step - n.warmup_steps) / double(steps - n.warmup_steps);
            return n.final_lr + (lr - n.final_lr) * (1 + std::cos(std::numbers::pi * done)) / 2;
        }
        case ScheduleKind::wsd: {
            const int64_t left = steps - step;
            if (left >= n.decay_steps) return lr;
            return n.final_lr + (lr - n.final_lr) * double(left) / double(n.decay_steps);
        }
        case ScheduleKind::constant:
            break;
    }
    return lr;
}

}  // namespace sluice
