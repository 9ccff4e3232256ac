// Two backends' passes over one batch, tensor by tensor in the order in which they are computed: activations from the
// embedding to the losses, then gradients from the head to the embedding. What differs first is where to look.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <vector>

#include "base/bf16.h"
#include "model/model.h"
#include "tensor/box.h"

namespace sluice {

// As norm of the difference over norm of the reference, of a pass through a few layers.
template <class T>
inline constexpr double kPassTolerance = std::is_same_v<T, bf16> ? 0x1p-5 : 5e-6;

struct SeenTensor {
    std::string name;  // "layers.1.attention.product"
    std::vector<double> values;
    bool integers = false;
};
using Seen = std::vector<SeenTensor>;

// Copies tensors of a backend to the host. It is a visitor of activations (tensor/arena.h).
template <class B>
class Reader {
 public:
    explicit Reader(const Model<B>& model) : stream_(model.stream()) {}
    void within(const std::string& prefix) { prefix_ = prefix; }
    template <class X>
    void operator()(const char* name, X* data, std::initializer_list<int64_t> shape) {
        add(name, data, volume(std::vector<int64_t>(shape)));
    }
    template <class X>
    void add(const std::string& name, const X* data, int64_t count) {
        std::vector<X> host(size_t(data ? count : 0));
        Memory& memory = memory_of<B>();
        memory.to_host(stream_, host.data(), data, host.size() * sizeof(X));
        memory.wait(stream_);
        seen.push_back({prefix_ + name, {}, std::is_integral_v<X>});
        for (const X& x : host) seen.back().values.push_back(double(x));
    }
    Seen seen;

 private:
    Stream stream_;
    std::string prefix_;
};

// What forward() left. The model has only run batches of its largest size, and recomputes nothing.
template <class B>
Seen activations_of(const Model<B>& model, Batch batch) {
    const int64_t tokens = batch.tokens(), rows = model.mesh().coord.max_rows(tokens), hidden = model.spec().hidden;
    ModelActs<B> a = model.activations();
    Reader<B> read(model);
    read("embedded", a.embedded, {rows, hidden});
    for (size_t l = 0; l < a.blocks.size(); l++) {
        const std::string layer = "layers." + std::to_string(l) + ".";
        read.within(layer + "attention.");
        model.blocks()[l].attention.acts(read, a.blocks[l].attention, tokens, rows);
        read.within(layer);
        read("mid", a.blocks[l].mid, {rows, hidden});
        read.within(layer + "ffn.");
        model.blocks()[l].ffn.acts(read, a.blocks[l].ffn, tokens, rows);
        read.within(layer);
        read("out", a.blocks[l].out, {rows, hidden});
    }
    read.within("");
    read("final_normed", a.final_normed, {rows, hidden});
    read("final_rstd", a.final_rstd, {rows});
    read("losses", a.losses, {tokens});
    return std::move(read.seen);
}

// What forward_backward() added.
template <class B>
Seen gradients_of(const Model<B>& model) {
    Reader<B> read(model);
    read.within("gradient of ");
    for (size_t i = model.tensors().size(); i-- > 0;) {
        const TensorInfo& t = model.tensors()[i];
        if (t.trained()) read.add(t.name, model.gradients() + t.offset, t.count);
    }
    return std::move(read.seen);
}

// As norm over norm; of integers the share that differs. NaN where one alone is not finite.
inline double difference_of(const SeenTensor& got, const SeenTensor& want) {
    if (got.values.size() != want.values.size()) return std::nan("");
    double squares = 0, norm = 0;
    int64_t other = 0;
    for (size_t i = 0; i < want.values.size(); i++) {
        const double g = got.values[i], w = want.values[i], d = g == w ? 0 : g - w;
        squares += d * d;
        norm += w * w;
        other += d != 0;
    }
    if (want.integers) return double(other) / double(std::max<size_t>(1, want.values.size()));
    return squares == 0 ? 0 : std::sqrt(squares / (norm > 0 ? norm : 1));
}

struct Difference {
    std::string tensor;    // that differs first by more than the tolerance, else the one that differs most
    double relative = 0;   // see difference_of
    bool differs = false;  // by more than the tolerance
    // In bf16, where rounding may change what a router picks: the first picks that differ, behind which nothing can be
    // compared.
    std::string up_to;

    std::string text() const {  // "3.1e-02 in layers.1.attention.product"
        char number[32];
        std::snprintf(number, sizeof number, "%.1e", relative);
        return number + (" in " + tensor) + (up_to.empty() ? "" : ", up to " + up_to + " (rounding)");
    }
};
template <class T>
Difference first_difference(const Seen& got, const Seen& want) {
    constexpr double kMostPicks = 0.1;  // that rounding may change: a share
    Difference most;
    for (size_t i = 0; i < want.size(); i++) {
        const bool missing = i >= got.size() || got[i].name != want[i].name;
        const double relative = missing ? std::nan("") : difference_of(got[i], want[i]);
        if (std::is_same_v<T, bf16> && want[i].integers && relative > 0 && relative <= kMostPicks) {
            most.up_to = want[i].name;
            return most;
        }
        if (!(relative <= (want[i].integers ? 0 : kPassTolerance<T>))) return {want[i].name, relative, true, ""};
        if (relative > most.relative || most.tensor.empty()) most = {want[i].name, relative, false, ""};
    }
    return most;
}

}  // namespace sluice
