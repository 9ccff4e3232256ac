// What a layer costs. Each layer states its cost beside its forward and backward; counts, plan and step time add these
// up.
#pragma once
#include <string>

#include "parallel/traffic.h"
#include "tensor/params.h"

namespace sluice {

constexpr double kSumBytes = 4, kCountBytes = 8;  // bytes of a sum in fp32 (B::A), of a count (int64_t)

// A micro-batch on a rank, and how it is stored.
struct Workload {
    int64_t tokens, length;  // tokens of all sequences together, of one sequence
    double item;             // bytes of one element of an activation
};

// Bytes of collectives within layers, by group.
struct LayerTraffic {
    GroupTraffic tensor, expert, data;

    // The bytes of Pass::gather_sequence and Pass::reduce_partial, for `width` elements per token.
    void gather_sequence(const Workload& load, const MeshCoord& coord, int64_t width) {
        const double row = load.item * double(width);
        if (!coord.sequence) return;
        tensor.all_gather(row * double(coord.rows(load.tokens).size()), row * double(load.tokens), coord.tensor);
    }
    void reduce_partial(const Workload& load, const MeshCoord& coord, int64_t width) {
        const double bytes = load.item * double(width) * double(load.tokens);
        if (coord.sequence)
            tensor.reduce_scatter(bytes, coord.tensor);
        else
            tensor.all_reduce(bytes, coord.tensor);
    }
    void add(const LayerTraffic& t, double times) {
        tensor.add(t.tensor, times);
        expert.add(t.expert, times);
        data.add(t.data, times);
    }
};

struct Cost {
    // Trained parameters of all ranks: all of them, those that one token uses, those of gates.
    int64_t parameters = 0, active = 0, gates = 0;
    // FLOPs per token, forward and backward, on all ranks together: 6 per weight of a matrix; 6 per weight of the
    // experts that a token is sent to; attention's scores and weighted sums, over the keys that a token attends to and
    // over all keys of the sequence.
    double gemm = 0, grouped_gemm = 0, scores = 0, scores_full_square = 0;
    // Elements that pointwise ops read and write per token on this rank, forward and backward.
    double elements = 0;
    // Weights on this rank that grouped GEMMs read in every micro-batch, however few rows an expert has.
    double grouped_weights = 0;
    LayerTraffic forward, backward;  // per micro-batch

    double flops() const { return gemm + grouped_gemm + scores; }
    double flops_full_square() const { return gemm + grouped_gemm + scores_full_square; }
    Cost& operator+=(const Cost& c) {
        parameters += c.parameters;
        active += c.active;
        gates += c.gates;
        gemm += c.gemm;
        grouped_gemm += c.grouped_gemm;
        scores += c.scores;
        scores_full_square += c.scores_full_square;
        elements += c.elements;
        grouped_weights += c.grouped_weights;
        forward.add(c.forward, 1);
        backward.add(c.backward, 1);
        return *this;
    }
};

// Adds the tensors that a layer lists to a cost: their parameters, and the FLOPs of a token through their matrices. A
// token uses top_k / experts of a tensor that is split by expert.
class ParameterCounter {
 public:
    ParameterCounter(Cost& cost, const MeshCoord& coord, int64_t top_k = 1, int64_t experts = 1)
        : cost_(cost), coord_(coord), top_k_(top_k), experts_(experts) {}
    template <class T>
    void operator()(const std::string&, T*&, const std::vector<int64_t>& shape, Init, Role role,
                    ShardSpec sharding = {}, Place = Place::aligned) {
        if (role == Role::untrained) return;
        const int64_t count = volume(shape), used = sharding.experts ? count / experts_ * top_k_ : count;
        cost_.parameters += count;
        cost_.active += used;
        if (sharding.experts) cost_.grouped_weights += double(volume(box_of(shape, sharding, coord_).shape));
        if (decays(role)) (sharding.experts ? cost_.grouped_gemm : cost_.gemm) += 6 * double(used);
    }

 private:
    Cost& cost_;
    const MeshCoord& coord_;
    int64_t top_k_, experts_;
};

}  // namespace sluice
