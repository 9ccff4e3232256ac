#include "apps/load_model.h"

#include <algorithm>
#include <cstdio>

#include "base/check.h"
#include "train/resume.h"

namespace sluice {

LoadedModel load_model(const std::string& checkpoint, const std::vector<std::string>& overrides, int64_t sequences) {
    LoadedModel loaded;
    std::vector<std::string> skipped;
    loaded.checkpoint = find_checkpoint(checkpoint, skipped);
    for (const auto& why : skipped) std::fprintf(stderr, "warning: skipped %s\n", why.c_str());

    for (const auto& o : overrides)
        if (o.rfind("model.", 0) == 0)
            fail(Exit::config, "command line: " + o + ": a checkpoint's model cannot be changed");
    config_of(loaded.checkpoint);  // what is wrong from here on is an override
    const CheckpointInfo& info = loaded.checkpoint.info;
    loaded.config =
        load_config_text(info.config_yaml, loaded.checkpoint.path.string() + "/manifest.json", overrides, Purpose::plan)
            .config;
    if (sequences == 0) sequences = std::max<int64_t>(1, loaded.config.train.micro_batch);
    loaded.model = std::make_unique<Model<Cpu<float>>>(
        loaded.config.model, Batch{sequences, loaded.config.data.sequence_length}, Recompute::none, Mode::inference);

    auto& model = *loaded.model;
    std::vector<StateTensor> state;
    for (const TensorInfo& t : model.tensors())
        state.push_back({t.name, "F32", t.shape, model.weights() + t.offset, size_t(t.count) * sizeof(float)});
    const auto missing = load_checkpoint(loaded.checkpoint, state, true);
    if (!missing.empty())
        fail(Exit::checkpoint, loaded.checkpoint.path.string() + ": tensor '" + missing[0] + "' is missing");
    return loaded;
}

}  // namespace sluice
