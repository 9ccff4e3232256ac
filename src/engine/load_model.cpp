#include "engine/load_model.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/memory.h"
#include "model/with_backend.h"

namespace sluice {

template <class B>
std::unique_ptr<Model<B>> load_model(const Opened& opened, int64_t sequences, Mode mode, Mesh& mesh) {
    auto model =
        std::make_unique<Model<B>>(opened.config.model, Batch{sequences, opened.config.data.sequence_length},
                                   Recompute::none, mode, mesh, matmul_precision(opened.config.train.precision));
    using A = typename B::A;
    const bool masters = !std::is_same_v<typename B::T, A>;  // a file has these: they are read to the host, and rounded
    std::vector<StateTensor> state;
    std::vector<std::vector<A>> values(model->tensors().size());
    for (size_t i = 0; i < values.size(); i++) {
        const TensorInfo& t = model->tensors()[i];
        StateTensor& to = state.emplace_back(StateTensor{t.name, dtype_of<A>(), t.shape, t.box, nullptr, t.box});
        if (masters) {
            values[i].resize(size_t(t.count));
            to.data = values[i].data();
        } else {
            to.data = t.trained() ? static_cast<void*>(model->weights() + t.offset) : model->untrained() + t.offset;
            to.memory = &memory_of<B>();
            to.stream = model->stream();
        }
    }
    const auto missing = load_checkpoint(opened.checkpoint, state, true);
    if (!missing.empty())
        fail(Exit::checkpoint, opened.checkpoint.path.string() + ": tensor '" + missing[0] + "' is missing");
    for (size_t i = 0; masters && i < values.size(); i++) model->set(model->tensors()[i], values[i].data());
    return model;
}

#define INSTANTIATE(B) template std::unique_ptr<Model<B>> load_model<B>(const Opened&, int64_t, Mode, Mesh&);
SLUICE_BACKENDS(INSTANTIATE)

}  // namespace sluice
