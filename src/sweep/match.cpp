#include "sweep/match.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "model/counts.h"

namespace sluice {
namespace {

int64_t total_at(ModelSpec model, int64_t width) {
    (model.moe.experts > 0 ? model.moe.hidden : model.ffn.hidden) = width;
    return count_parameters(model).total;
}

double flops_of_a_step(const Config& config) {
    return flops_per_token(config.model, config.data.sequence_length) * double(config.train.batch) *
           double(config.data.sequence_length);
}

}  // namespace

const char* width_key(const ModelSpec& model) {
    return model.moe.experts > 0 ? "model.moe.hidden" : "model.ffn.hidden";
}

int64_t matched_width(const ModelSpec& model, int64_t parameters) {
    const int64_t least = total_at(model, kWidthUnit), unit = total_at(model, 2 * kWidthUnit) - least;
    const int64_t missing = parameters - least;
    if (2 * missing < -unit) return 0;
    const int64_t above = std::max<int64_t>(0, missing) / unit;  // units that fit above the narrowest
    const bool up = 2 * (missing - above * unit) > unit;
    return std::min((1 + above + up) * kWidthUnit, kMaxWidth / kWidthUnit * kWidthUnit);
}

double training_flops(const Config& config) { return flops_of_a_step(config) * double(config.train.steps); }

int64_t matched_steps(const Config& config, double flops) {
    return std::max<int64_t>(1, std::llround(flops / flops_of_a_step(config)));
}

}  // namespace sluice
