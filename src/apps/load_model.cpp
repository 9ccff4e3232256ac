#include "apps/load_model.h"

#include <algorithm>

#include "base/check.h"
#include "checkpoint/resume.h"
#include "cli/terminal.h"
#include "kernels/memory.h"
#include "model/with_backend.h"

namespace sluice {

Opened open_for_inference(const std::string& checkpoint, const std::vector<std::string>& overrides, int ranks) {
    Opened opened;
    std::vector<std::string> warnings, all;
    opened.checkpoint = find_checkpoint(checkpoint, warnings);
    for (const auto& warning : warnings) print_warning(warning);

    // The mesh, device and precision to use, whatever the model was trained with.
    all = {"parallel.tensor=1", "parallel.expert=1", "parallel.sequence=false", "device=auto", "train.precision=fp32"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    const Config stored = config_of(opened.checkpoint);  // reports its errors; any later one is an override's
    opened.config = load_config_text(opened.checkpoint.info.config_yaml,
                                     opened.checkpoint.path.string() + "/manifest.json", all, Purpose::stored)
                        .config;
    if (const auto changes = compare_configs(stored, opened.config); !changes.model.empty())
        fail(Exit::config, "command line: a checkpoint's model cannot be changed: " + changes.model[0]);
    data_ranks_of(opened.config, ranks);
    return opened;
}

template <class B>
std::unique_ptr<Model<B>> load_model(const Opened& opened, int64_t sequences, Mesh& mesh) {
    auto model = std::make_unique<Model<B>>(opened.config.model, Batch{sequences, opened.config.data.sequence_length},
                                            Recompute::none, Mode::inference, mesh,
                                            matmul_precision(opened.config.train.precision));
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

#define INSTANTIATE(B) template std::unique_ptr<Model<B>> load_model<B>(const Opened&, int64_t, Mesh&);
SLUICE_BACKENDS(INSTANTIATE)

}  // namespace sluice
