// The batch shared out: batch = data-parallel ranks x micro_batch x micro-batches a step.
#include "base/check.h"
#include "config/load.h"

namespace sluice {
namespace {

std::string text(int64_t n) { return std::to_string(n); }

// The multiples of `unit` around `batch`.
std::string nearest_multiples(int64_t batch, int64_t unit) {
    const int64_t below = batch / unit * unit;
    return below > 0 ? text(below) + " or " + text(below + unit) : text(unit);
}

}  // namespace

int64_t data_ranks_of(const Config& config, int ranks) {
    check(ranks > 0, "a run without ranks");
    const int64_t tensor = config.parallel.tensor, expert = config.parallel.expert;
    if (ranks % tensor != 0)
        fail(Exit::config, "parallel.tensor: " + text(ranks) + " ranks are not divisible by " + text(tensor) +
                               ": start " + nearest_multiples(ranks, tensor) + " ranks");
    const int64_t data_ranks = ranks / tensor;
    if (data_ranks % expert != 0)
        fail(Exit::config, "parallel.expert: " + text(data_ranks) + " data-parallel ranks are not divisible by " +
                               text(expert) + ": start " + nearest_multiples(ranks, tensor * expert) + " ranks");
    return data_ranks;
}

void resolve_ranks(Config& config, int ranks) {
    const int64_t data_ranks = data_ranks_of(config, ranks), batch = config.train.batch;
    if (batch % data_ranks != 0)
        fail(Exit::config, "train.batch: " + text(batch) + " sequences cannot be shared by " + text(data_ranks) +
                               " data-parallel ranks: use " + nearest_multiples(batch, data_ranks));
    const int64_t share = batch / data_ranks;
    int64_t& micro = config.train.micro_batch;
    if (micro == 0) micro = share;
    if (share % micro == 0) return;
    int64_t divisor = micro < share ? micro : share;
    while (share % divisor != 0) divisor--;
    fail(Exit::config, "train.batch: " + text(batch) + " is not a multiple of micro_batch " + text(micro) + " x " +
                           text(data_ranks) + " data-parallel ranks: use train.batch " +
                           nearest_multiples(batch, micro * data_ranks) + ", or train.micro_batch " + text(divisor));
}

}  // namespace sluice
