#include "plan/plan.h"

#include "model/counts.h"
#include "model/step_sums.h"
#include "optim/cost.h"

namespace sluice {
namespace {

std::vector<TensorInfo> tensors_at(const Config& c, const MeshCoord& coord) {
    return Model<PlannedFp32>::tensors(c.model, coord);
}

// Returns run(B()) of the backend B whose bytes are planned.
template <class F>
auto with_planned(Storage storage, F&& run) {
    if (storage == Storage::gpu_bf16) return run(PlannedBf16());
    return storage == Storage::gpu_fp32 ? run(PlannedGpuFp32()) : run(PlannedFp32());
}

// Bytes that the layers hand to collectives in one micro-batch. A layer that is recomputed runs its forward twice.
LayerTraffic traffic_of_layers(const Config& c, const MeshCoord& coord, int64_t item) {
    const int64_t length = c.data.sequence_length;
    LayerTraffic traffic;
    model_cost(c.model, {c.train.micro_batch * length, length, double(item)}, coord)
        .each(c.train.recompute, [&](const Cost& cost, bool recomputed) {
            traffic.add(cost.forward, recomputed ? 2 : 1);
            traffic.add(cost.backward, 1);
        });
    return traffic;
}

// Adds what follows backward, tensor by tensor: what the update itself communicates; the sum of a gradient within the
// tensor group where ranks hold partial sums of it; its sum over the ranks with the same slice; and, with zero or where
// one rank updates whole matrices, the gathering of the weights.
void add_parameters(TrafficPlan& t, const Config& c, const MeshCoord& coord, int64_t item, int64_t gradient_item,
                    const std::vector<TensorInfo>& tensors) {
    const bool zero = c.parallel.zero > 0;
    const OptimizerShards shards(tensors, coord, zero, c.optimizer);
    for (size_t i = 0; i < tensors.size(); i++) {
        const TensorInfo& tensor = tensors[i];
        if (!tensor.trained()) continue;
        const double gradient = double(tensor.count * gradient_item), weight = double(tensor.count * item);
        // Tensor ranks that hold the same slice: all of them, or those that hold the same key-value heads.
        const int64_t replicas = coord.tensor / (tensor.sharding.dimension >= 0 ? tensor.sharding.parts : 1);
        const UpdateCost update = update_cost(tensor, shards[i], coord, c.optimizer, item, gradient_item);
        t.tensor += update.tensor.handed + update.copies.handed;
        t.wire.tensor += update.tensor.sent;
        (replicas == coord.tensor ? t.wire.tensor : t.wire.replicas) += update.copies.sent;
        if (tensor.sharding.gradient != ShardSpec::whole) {
            GroupTraffic sum;
            sum.all_reduce(gradient, replicas);
            t.tensor += sum.handed;
            (replicas == coord.tensor ? t.wire.tensor : t.wire.replicas) += sum.sent;
        }
        const bool experts = tensor.sharding.experts;
        const int64_t ranks = experts ? coord.expert_copies() : coord.data;
        GroupTraffic sums, gathers;
        if (zero)
            sums.reduce_scatter(gradient, ranks);
        else
            sums.all_reduce(gradient, ranks);
        const bool whole = state_of(tensor, c.optimizer).shards == ShardRule::whole_matrices;
        if (zero || whole) gathers.all_gather(double(shards[i].count * item), weight, ranks);
        (experts ? t.expert_data : t.data) += sums.handed + gathers.handed;
        (experts ? t.wire.expert_gradients : t.wire.gradients) += sums.sent;
        (experts ? t.wire.expert_weights : t.wire.weights) += gathers.sent;
        if (i == 0) t.wire.last_gradients = sums.sent;  // of the embedding: backward ends with it
    }
}

}  // namespace

MemoryPlan plan_state(const Config& c, const MeshCoord& coord, Storage storage, Mode mode,
                      const std::vector<TensorInfo>& tensors) {
    return with_planned(storage, [&]<class B>(B) {
        MemoryPlan plan;
        const size_t trained = size_t(capacity_of(tensors, true, coord));  // elements that a rank allocates
        const size_t untrained = size_t(capacity_of(tensors, false, coord));
        plan.weights = trained * sizeof(typename B::T) + untrained * sizeof(typename B::A);
        if (mode != Mode::training) return plan;
        const OptimizerBytes optimizer = plan_optimizer<B>(tensors, coord, c.optimizer, c.parallel.zero > 0);
        plan.masters = optimizer.masters;
        plan.moments = optimizer.state;
        plan.gradients = trained * sizeof(typename B::G);
        plan.buffers = optimizer.gradient_shards + optimizer.scratch;
        return plan;
    });
}

void add_activations(MemoryPlan& plan, const Config& c, const MeshCoord& coord, Storage storage, Mode mode) {
    const Batch batch{c.train.micro_batch, c.data.sequence_length};
    const ModelBytes bytes = with_planned(
        storage, [&]<class B>(B) { return plan_activations<B>(c.model, batch, c.train.recompute, mode, coord); });
    plan.attention += bytes.attention;
    plan.ffn += bytes.ffn;
    plan.residual += bytes.residual;
    plan.buffers += bytes.scratch;
}

MemoryPlan plan_memory(const Config& c, const MeshCoord& coord, Storage storage, Mode mode) {
    MemoryPlan plan = plan_state(c, coord, storage, mode, tensors_at(c, coord));
    add_activations(plan, c, coord, storage, mode);
    return plan;
}

TrafficPlan plan_traffic(const Config& c, const MeshCoord& coord, int64_t item, int64_t gradient_item) {
    return plan_traffic(c, coord, item, gradient_item, tensors_at(c, coord));
}

TrafficPlan plan_traffic(const Config& c, const MeshCoord& coord, int64_t item, int64_t gradient_item,
                         const std::vector<TensorInfo>& tensors) {
    TrafficPlan t;
    const double micro_batches = double(c.train.batch / (c.train.micro_batch * coord.data));
    const LayerTraffic layers = traffic_of_layers(c, coord, item);
    t.tensor = micro_batches * layers.tensor.handed;
    t.expert = micro_batches * layers.expert.handed;
    t.data = micro_batches * layers.data.handed;
    t.wire.tensor = micro_batches * layers.tensor.sent;
    t.wire.expert = micro_batches * layers.expert.sent;
    add_parameters(t, c, coord, item, gradient_item, tensors);
    GroupTraffic world;
    const int64_t sums = kStepSums + c.model.layers * c.model.moe.experts;
    world.all_reduce(double(sums) * double(sizeof(double)), coord.data * coord.tensor);
    t.wire.picks = micro_batches * layers.data.sent;
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
