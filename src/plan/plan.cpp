#include "plan/plan.h"

#include "model/counts.h"
#include "optim/optimizer.h"

namespace sluice {
namespace {

std::vector<TensorInfo> tensors_at(const Config& c, const Place& place) {
    return Model<PlannedFp32>::tensors(c.model, place);
}

// What the layers hand to collectives in one micro-batch.
LayerTraffic traffic_of_layers(const Config& c, const Place& place, int64_t item) {
    const int64_t length = c.data.sequence_length;
    LayerTraffic traffic;
    model_cost(c.model, {c.train.micro_batch * length, length, double(item)}, place)
        .each(c.train.recompute, [&](const Cost& cost, bool again) {
            traffic.add(cost.forward, again ? 2 : 1);
            traffic.add(cost.backward, 1);
        });
    return traffic;
}

// What follows backward: gradients are summed, and weights gathered, with zero or where one rank updates a matrix
// whole.
void add_parameters(TrafficPlan& t, const Config& c, const Place& place, int64_t item, int64_t gradient_item,
                    const std::vector<TensorInfo>& tensors) {
    const bool zero = c.parallel.zero > 0;
    const Shares shares(tensors, place, zero, c.optimizer);
    for (size_t i = 0; i < tensors.size(); i++) {
        const TensorInfo& tensor = tensors[i];
        if (!tensor.trained()) continue;
        const double gradient = double(tensor.count * gradient_item), weight = double(tensor.count * item);
        const int64_t replicas = place.tensor / (tensor.cut.dimension >= 0 ? tensor.cut.parts : 1);
        const UpdateCost update = update_cost(tensor, shares[i], place, c.optimizer, item, gradient_item);
        t.tensor += update.tensor.handed + update.copies.handed;
        t.wire.tensor += update.tensor.sent;
        (replicas == place.tensor ? t.wire.tensor : t.wire.replicas) += update.copies.sent;
        if (tensor.cut.gradient != Cut::whole) {
            GroupTraffic sum;
            sum.all_reduce(gradient, replicas);
            t.tensor += sum.handed;
            (replicas == place.tensor ? t.wire.tensor : t.wire.replicas) += sum.sent;
        }
        const bool experts = tensor.cut.experts;
        const int64_t ranks = experts ? place.expert_copies() : place.data;
        GroupTraffic sums, gathers;
        if (zero)
            sums.reduce_scatter(gradient, ranks);
        else
            sums.all_reduce(gradient, ranks);
        const bool whole = state_of(tensor, c.optimizer).shards == ShardRule::whole_matrices;
        if (zero || whole) gathers.all_gather(double(shares[i].count * item), weight, ranks);
        (experts ? t.expert_data : t.data) += sums.handed + gathers.handed;
        (experts ? t.wire.expert_gradients : t.wire.gradients) += sums.sent;
        (experts ? t.wire.expert_weights : t.wire.weights) += gathers.sent;
        if (tensor.offset == 0) t.wire.last_gradients = sums.sent;  // the embedding
    }
}

}  // namespace

MemoryPlan plan_state(const Config& c, const Place& place, Precision precision,
                      const std::vector<TensorInfo>& tensors) {
    MemoryPlan plan;
    const bool bf16 = precision == Precision::bf16, zero = c.parallel.zero > 0;
    size_t held = 0;
    for (const TensorInfo& t : tensors) held += size_t(room_of(t.shape, t.cut, place));
    const OptimizerBytes optimizer = plan_optimizer(tensors, place, c.optimizer, zero, sizeof(float));
    plan.weights = held * (bf16 ? sizeof(uint16_t) : sizeof(float));
    plan.masters = bf16 ? optimizer.shares : 0;
    plan.moments = optimizer.state;
    plan.gradients = held * sizeof(float);
    plan.buffers = (zero ? optimizer.shares : 0) + optimizer.scratch;  // of the gradients
    return plan;
}

void add_activations(MemoryPlan& plan, const Config& c, const Place& place, Precision precision) {
    const auto plan_them =
        precision == Precision::bf16 ? Model<PlannedBf16>::plan_activations : Model<PlannedFp32>::plan_activations;
    const ModelBytes bytes =
        plan_them(c.model, {c.train.micro_batch, c.data.sequence_length}, c.train.recompute, Mode::training, place);
    plan.attention += bytes.attention;
    plan.ffn += bytes.ffn;
    plan.residual += bytes.residual;
    plan.buffers += bytes.scratch;
}

MemoryPlan plan_memory(const Config& c, const Place& place, Precision precision) {
    MemoryPlan plan = plan_state(c, place, precision, tensors_at(c, place));
    add_activations(plan, c, place, precision);
    return plan;
}

TrafficPlan plan_traffic(const Config& c, const Place& place, int64_t item, int64_t gradient_item) {
    return plan_traffic(c, place, item, gradient_item, tensors_at(c, place));
}

TrafficPlan plan_traffic(const Config& c, const Place& place, int64_t item, int64_t gradient_item,
                         const std::vector<TensorInfo>& tensors) {
    TrafficPlan t;
    const double micro_batches = double(c.train.batch / (c.train.micro_batch * place.data));
    const LayerTraffic layers = traffic_of_layers(c, place, item);
    t.tensor = micro_batches * layers.tensor.handed;
    t.expert = micro_batches * layers.expert.handed;
    t.data = micro_batches * layers.data.handed;
    t.wire.tensor = micro_batches * layers.tensor.sent;
    t.wire.expert = micro_batches * layers.expert.sent;
    add_parameters(t, c, place, item, gradient_item, tensors);
    GroupTraffic picks, world;
    picks.all_reduce(double(c.model.layers * c.model.moe.experts) * kCountBytes, place.data);
    world.all_reduce(7 * 8, place.data * place.tensor);
    t.data += picks.handed;
    t.wire.picks = micro_batches * layers.data.sent + picks.sent;
    t.world = world.handed;
    t.wire.world = world.sent;
    return t;
}

int64_t checkpoint_bytes(const ModelSpec& model, const OptimizerSpec& optimizer) {
    int64_t numbers = 0;
    for (const TensorInfo& t : Model<PlannedFp32>::tensors(model))
        numbers += t.whole_count() * (t.trained() ? 1 + int64_t(state_of(t, optimizer).prefixes.size()) : 1);
    return numbers * int64_t(sizeof(float));
}

}  // namespace sluice
