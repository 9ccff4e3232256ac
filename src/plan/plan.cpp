#include "plan/plan.h"

#include <numeric>

#include "optim/optimizer.h"

namespace sluice {
namespace {

std::vector<TensorInfo> tensors_at(const Config& c, const Place& place) {
    return Model<PlannedFp32>::tensors(c.model, place);
}

// What a ring of `ranks` sends of a whole: a rank keeps its own part.
double ring(double bytes, int64_t ranks) { return bytes * double(ranks - 1) / double(ranks); }

// Bytes handed to the collectives of a group, and bytes on its wire.
struct Counted {
    explicit Counted(int64_t n) : ranks(n) {}
    int64_t ranks;
    double handed = 0, wire = 0;

    void add(double mine, double sent) {
        if (ranks == 1) return;
        handed += mine;
        wire += sent;
    }
    void all_reduce(double bytes) { add(bytes, 2 * ring(bytes, ranks)); }
    void reduce_scatter(double whole) { add(whole, ring(whole, ranks)); }
    void all_gather(double mine, double whole) { add(mine, ring(whole, ranks)); }
    void all_to_all(double bytes) { add(bytes, ring(bytes, ranks)); }
};

// The collectives of one micro-batch as the layers state them; `tokens` is its size.
class LayerTraffic {
 public:
    LayerTraffic(const Config& c, const Place& place, int64_t item)
        : tensor(place.tensor),
          expert(place.expert),
          data(place.data),
          n_(c.model),
          place_(place),
          recompute_(c.train.recompute),
          item_(double(item)),
          tokens_(double(c.train.micro_batch * c.data.sequence_length)),
          rows_(double(place.rows(c.train.micro_batch * c.data.sequence_length).size())) {
        leave();  // embedding
        enter();  // and its gradient
        for (int64_t l = 0; l < n_.layers; l++) {
            const bool last = l + 1 == n_.layers;
            const bool both = recompute_ == Recompute::block;
            const int attention = 1 + (!last && (both || recompute_ == Recompute::attention));
            const int ffn = 1 + (!last && (both || recompute_ == Recompute::ffn));
            branch(attention);
            branch(ffn);
            means(l, attention + 1);
            if (n_.moe.experts > 0) experts(ffn);
        }
        enter();  // head
        leave();
        tensor.all_gather(tokens_ * 3 * kSum, tokens_ * 3 * kSum * double(place.tensor));
    }

    Counted tensor, expert, data;

 private:
    static constexpr double kSum = 4, kCount = 8;  // bytes of fp32, of int64_t

    void enter() {
        if (place_.sequence) tensor.all_gather(rows_ * width(), tokens_ * width());
    }
    void leave() {
        if (place_.sequence)
            tensor.reduce_scatter(tokens_ * width());
        else
            tensor.all_reduce(tokens_ * width());
    }
    double width() const { return double(n_.hidden) * item_; }
    void branch(int forwards) {
        for (int i = 0; i < forwards; i++) {
            enter();
            leave();
        }
        enter();  // x again
        enter();  // dout
        leave();  // dx
    }
    void means(int64_t layer, int passes) {
        for (const GateSpec& g : n_.gates.at(layer))
            if (g.heads == HeadSharing::averaged)
                tensor.all_reduce(passes * tokens_ * item_ *
                                  double(g.granularity == Granularity::headwise ? 1 : n_.head_dim));
    }
    void experts(int forwards) {
        const double picks = tokens_ * double(n_.moe.top_k), E = double(n_.moe.experts);
        // Rows and weights out, rows back; then gradients out, and of rows and weights back.
        expert.all_to_all(forwards * (E * kCount + picks * (2 * width() + kSum)));
        expert.all_to_all(picks * (2 * width() + kSum));
        if (n_.moe.balance == Balance::global_batch) data.all_reduce(E * kCount);
    }

    const ModelSpec& n_;
    const Place& place_;
    Recompute recompute_;
    double item_, tokens_, rows_;
};

// Of Muon's matrices within the tensor group: updates are gathered, and results go to all that hold the same part.
void add_matrices(TrafficPlan& t, const TensorInfo& tensor, const Share& share, const Place& place, int64_t item,
                  int64_t gradient_item) {
    if (!share.some) return;
    const Matrices matrices(tensor, share, place);
    Counted gathers(place.tensor), copies(matrices.copies);
    if (matrices.cut) {
        const std::vector<int64_t> counts = matrices.gather_counts();
        gathers.all_gather(double(counts[size_t(place.tensor_rank)] * gradient_item),
                           double(std::accumulate(counts.begin(), counts.end(), int64_t{0}) * gradient_item));
    }
    copies.all_gather(share.first ? double(share.count * item) : 0, double(share.count * item));
    t.tensor += gathers.handed + copies.handed;
    t.wire.tensor += gathers.wire;
    (matrices.copies == place.tensor ? t.wire.tensor : t.wire.replicas) += copies.wire;
}

// What follows backward: gradients are summed, and with zero, or of Muon's matrices, weights gathered.
void add_parameters(TrafficPlan& t, const Config& c, const Place& place, int64_t item, int64_t gradient_item,
                    const std::vector<TensorInfo>& tensors) {
    const bool zero = c.parallel.zero > 0;
    const Shares shares(tensors, place, zero, c.optimizer);
    for (size_t i = 0; i < tensors.size(); i++) {
        const TensorInfo& tensor = tensors[i];
        if (!tensor.trained()) continue;
        const bool muon = kind_of(tensor, c.optimizer) == OptimizerKind::muon;
        if (muon) add_matrices(t, tensor, shares[i], place, item, gradient_item);
        const double gradient = double(tensor.count * gradient_item), weight = double(tensor.count * item);
        const int64_t replicas = place.tensor / (tensor.cut.dimension >= 0 ? tensor.cut.parts : 1);
        if (tensor.cut.gradient != Cut::whole) {
            Counted sum(replicas);
            sum.all_reduce(gradient);
            t.tensor += sum.handed;
            (replicas == place.tensor ? t.wire.tensor : t.wire.replicas) += sum.wire;
        }
        const bool experts = tensor.cut.experts;
        Counted sums(experts ? place.expert_copies() : place.data), gathers(sums.ranks);
        if (zero)
            sums.reduce_scatter(gradient);
        else
            sums.all_reduce(gradient);
        if (zero || muon) gathers.all_gather(double(shares[i].count * item), weight);
        (experts ? t.expert_data : t.data) += sums.handed + gathers.handed;
        (experts ? t.wire.expert_gradients : t.wire.gradients) += sums.wire;
        (experts ? t.wire.expert_weights : t.wire.weights) += gathers.wire;
        if (tensor.offset == 0) t.wire.last_gradients = sums.wire;  // the embedding
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
    const LayerTraffic layers(c, place, item);
    t.tensor = micro_batches * layers.tensor.handed;
    t.expert = micro_batches * layers.expert.handed;
    t.data = micro_batches * layers.data.handed;
    t.wire.tensor = micro_batches * layers.tensor.wire;
    t.wire.expert = micro_batches * layers.expert.wire;
    add_parameters(t, c, place, item, gradient_item, tensors);
    Counted picks(place.data), world(place.data * place.tensor);
    picks.all_reduce(double(c.model.layers * c.model.moe.experts * 8));
    world.all_reduce(7 * 8);
    t.data += picks.handed;
    t.wire.picks = micro_batches * layers.data.wire + picks.wire;
    t.world = world.handed;
    t.wire.world = world.wire;
    return t;
}

int64_t checkpoint_bytes(const ModelSpec& model, const OptimizerSpec& optimizer) {
    int64_t numbers = 0;
    for (const TensorInfo& t : Model<PlannedFp32>::tensors(model))
        numbers += t.whole_count() * (t.trained() ? 1 + int64_t(state_of(t, optimizer).prefixes.size()) : 1);
    return numbers * int64_t(sizeof(float));
}

}  // namespace sluice
