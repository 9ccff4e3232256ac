// Checks that depend on the mesh: shards of the model, and batch = data-parallel ranks x micro_batch x micro-batches.
#include "base/check.h"
#include "base/format.h"
#include "config/validate.h"

namespace sluice {
namespace {

std::string text(int64_t n) { return std::to_string(n); }

// The multiples of `unit` next to `batch`.
std::string nearest_multiples(int64_t batch, int64_t unit) {
    const int64_t below = batch / unit * unit;
    return below > 0 ? text(below) + " or " + text(below + unit) : text(unit);
}

std::vector<Conflict> mesh_conflicts(const Config& config, int64_t ranks) {
    const int64_t tensor = config.parallel.tensor, expert = config.parallel.expert;
    if (ranks % tensor != 0)
        return {{"parallel.tensor", counted(ranks, "rank") + " cannot be divided by " + text(tensor) + ": start " +
                                        nearest_multiples(ranks, tensor) + " ranks"}};
    if (ranks / tensor % expert != 0)
        return {{"parallel.expert", counted(ranks / tensor, "data-parallel rank") + " cannot be divided by " +
                                        text(expert) + ": start " + nearest_multiples(ranks, tensor * expert) +
                                        " ranks"}};
    return {};
}

void fail_on_first(const std::vector<Conflict>& conflicts) {
    if (!conflicts.empty()) fail(Exit::config, conflicts[0].path + ": " + conflicts[0].what);
}

}  // namespace

std::vector<Conflict> sharding_conflicts(const ModelSpec& m, int64_t tensor, int64_t expert) {
    std::vector<Conflict> found;
    const auto divides = [&](const char* what, int64_t value) {
        if (value % tensor == 0) return;
        found.push_back({"parallel.tensor", text(tensor) + " ranks cannot shard " + what + " (" + text(value) +
                                                ") evenly: use a divisor of it"});
    };
    divides("model.heads", m.heads);
    if (m.kv_heads % tensor != 0 && tensor % m.kv_heads != 0)
        found.push_back({"parallel.tensor", text(tensor) + " ranks cannot shard model.kv_heads (" + text(m.kv_heads) +
                                                "): use a divisor or a multiple of it"});
    if (m.moe.experts == 0) {
        divides("model.ffn.hidden", m.ffn.hidden);
        if (expert != 1) found.push_back({"parallel.expert", "the model has no experts to shard: use 1"});
        return found;
    }
    divides("model.moe.hidden", m.moe.hidden);
    divides("model.moe.shared_hidden", m.moe.shared_hidden);
    if (m.moe.experts % expert != 0)
        found.push_back({"parallel.expert", text(expert) + " ranks cannot shard model.moe.experts (" +
                                                text(m.moe.experts) + ") evenly: use a divisor of it"});
    return found;
}

std::vector<Conflict> rank_conflicts(const Config& config, int ranks) {
    check(ranks > 0, "a run without ranks");
    if (auto mesh = mesh_conflicts(config, ranks); !mesh.empty()) return mesh;
    const int64_t data_ranks = ranks / config.parallel.tensor, batch = config.train.batch;
    if (batch % data_ranks != 0)
        return {{"train.batch", counted(batch, "sequence") + " cannot be divided over " +
                                    counted(data_ranks, "data-parallel rank") + ": use " +
                                    nearest_multiples(batch, data_ranks)}};
    const int64_t share = batch / data_ranks, micro = config.train.micro_batch;
    if (micro == 0 || share % micro == 0) return {};
    int64_t divisor = micro < share ? micro : share;
    while (share % divisor != 0) divisor--;
    return {{"train.batch", text(batch) + " is not a multiple of micro_batch " + text(micro) + " x " +
                                counted(data_ranks, "data-parallel rank") + ": use train.batch " +
                                nearest_multiples(batch, micro * data_ranks) + ", or train.micro_batch " +
                                text(divisor)}};
}

int64_t data_ranks_of(const Config& config, int ranks) {
    check(ranks > 0, "a run without ranks");
    fail_on_first(mesh_conflicts(config, ranks));
    return ranks / config.parallel.tensor;
}

void resolve_ranks(Config& config, int ranks) {
    fail_on_first(rank_conflicts(config, ranks));
    if (config.train.micro_batch == 0) config.train.micro_batch = config.train.batch / data_ranks_of(config, ranks);
}

}  // namespace sluice
