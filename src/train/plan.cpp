#include "train/plan.h"

#include "train/step.h"

namespace sluice {
namespace {

template <class B>
ModelBytes model_bytes(const Config& c, const Place& place) {
    return Model<B>::plan(c.model, {c.train.micro_batch, c.data.sequence_length}, c.train.recompute, Mode::training,
                          place);
}

// Counts the collectives of one micro-batch as the layers state them; `tokens` is its size.
class LayerTraffic {
 public:
    LayerTraffic(const Config& c, const Place& place, int64_t item)
        : n_(c.model),
          place_(place),
          recompute_(c.train.recompute),
          item_(double(item)),
          tokens_(double(c.train.micro_batch * c.data.sequence_length)),
          rows_(double(place.rows(c.train.micro_batch * c.data.sequence_length).size())) {}

    void add_to(TrafficPlan& t) {
        tensor_ = expert_ = data_ = 0;
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
        tensor_ += tokens_ * 3 * kSum;
        if (place_.tensor > 1) t.tensor += tensor_;
        if (place_.expert > 1) t.expert += expert_;
        if (place_.data > 1) t.data += data_;
    }

 private:
    static constexpr double kSum = 4, kCount = 8;  // bytes of fp32, of int64_t

    void enter() { tensor_ += place_.sequence ? rows_ * width() : 0; }
    void leave() { tensor_ += tokens_ * width(); }
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
                tensor_ += passes * tokens_ * item_ * double(g.granularity == Granularity::headwise ? 1 : n_.head_dim);
    }
    void experts(int forwards) {
        const double picks = tokens_ * double(n_.moe.top_k), E = double(n_.moe.experts);
        expert_ += forwards * (E * kCount + picks * (2 * width() + kSum));  // rows and weights out, rows back
        expert_ += picks * (2 * width() + kSum);                            // gradients out; of rows and weights back
        if (n_.moe.balance == Balance::global_batch) data_ += E * kCount;
    }

    const ModelSpec& n_;
    const Place& place_;
    Recompute recompute_;
    double item_, tokens_, rows_;
    double tensor_ = 0, expert_ = 0, data_ = 0;
};

}  // namespace

MemoryPlan plan_memory(const Config& c, const Place& place, Precision precision) {
    MemoryPlan plan;
    const bool bf16 = precision == Precision::bf16, zero = c.parallel.zero > 0;
    const ModelBytes bytes = bf16 ? model_bytes<PlannedBf16>(c, place) : model_bytes<Cpu<float>>(c, place);
    const OptimizerBytes optimizer = plan_optimizer<Cpu<float>>(c.model, place, zero);
    plan.weights = bytes.weights;
    plan.masters = bf16 ? optimizer.moments / 2 : 0;
    plan.moments = optimizer.moments;
    plan.gradients = bf16 ? 2 * bytes.gradients : bytes.gradients;
    plan.attention = bytes.attention;
    plan.ffn = bytes.ffn;
    plan.residual = bytes.residual;
    plan.buffers = bytes.scratch + optimizer.gradient_shares;
    return plan;
}

TrafficPlan plan_traffic(const Config& c, const Place& place, int64_t item, int64_t gradient_item) {
    TrafficPlan t;
    const int64_t micro_batches = c.train.batch / (c.train.micro_batch * place.data);
    LayerTraffic layers(c, place, item);
    for (int64_t u = 0; u < micro_batches; u++) layers.add_to(t);

    const bool zero = c.parallel.zero > 0;
    for (const TensorInfo& tensor : Model<Cpu<float>>::tensors(c.model, place)) {
        if (!tensor.trained()) continue;
        const bool experts = tensor.cut.experts;
        const int64_t copies = experts ? place.expert_copies() : place.data;
        const int64_t copy = experts ? place.expert_copy() : place.data_rank;
        const double count = double(tensor.count);
        const int64_t replicas = place.tensor / (tensor.cut.dimension >= 0 ? tensor.cut.parts : 1);
        if (tensor.cut.gradient != Cut::whole && replicas > 1) t.tensor += count * double(gradient_item);
        if (copies == 1) continue;
        const int64_t rows = tensor.box.shape[0];
        const double share = rows > 0 ? count / double(rows) * double(part_of(rows, copies, copy).size()) : 0;
        (experts ? t.expert_data : t.data) += count * double(gradient_item) + (zero ? share * double(item) : 0);
    }
    if (place.data > 1) t.data += double(c.model.layers * c.model.moe.experts * 8);
    if (place.data * place.tensor > 1) t.world += 7 * 8;
    return t;
}

}  // namespace sluice
