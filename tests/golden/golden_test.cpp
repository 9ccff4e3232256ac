// Loss and every gradient against PyTorch's, for models that together use every feature. The files are made by
// scripts/make_golden.py.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "config/load.h"
#include "model/model.h"
#include "support/oracle.h"
#include "train/data.h"
#include "train/safetensors.h"

namespace sluice {
namespace {

std::vector<std::filesystem::path> golden_files() {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(SLUICE_SOURCE_DIR "/tests/golden"))
        if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

template <class T>
std::vector<T> read(const SafetensorsFile& file, const std::string& name) {
    const auto& entry = file.at(name);
    std::vector<T> values(entry.bytes / sizeof(T));
    file.read(entry, values.data(), entry.bytes);
    return values;
}

template <class T>
void compare(const std::filesystem::path& path) {
    const SafetensorsFile file(path);
    const Config config = load_config_text(file.metadata().at("config"), path.string(), {}, Purpose::plan).config;
    const Batch batch{config.train.batch, config.data.sequence_length};
    Model<Cpu<T>> model(config.model, batch, Recompute::none, Mode::training);
    for (const TensorInfo& t : model.tensors()) {
        ASSERT_EQ(file.at(t.name).shape, t.shape) << t.name;
        const auto values = read<double>(file, t.name);
        std::copy(values.begin(), values.end(), model.weights() + t.offset);
    }
    ASSERT_EQ(file.tensors().size(), 2 * model.tensors().size() + 2) << "a tensor that the model does not know";

    const auto raw = read<int64_t>(file, "tokens");
    std::vector<int32_t> tokens, targets, first(size_t(batch.tokens()));
    for (int64_t s = 0; s < batch.sequences; s++) {
        const auto row = raw.begin() + s * (batch.length + 1);
        tokens.insert(tokens.end(), row, row + batch.length);
        targets.insert(targets.end(), row + 1, row + batch.length + 1);
        document_starts(first.data() + s * batch.length, tokens.data() + s * batch.length, batch.length,
                        config.data.delimiter.value_or(-1));
    }
    const double scale = 1 / double(batch.tokens());
    const double loss = scale * model.forward_backward(batch, tokens.data(), targets.data(),
                                                       config.data.document_mask ? first.data() : nullptr, scale);
    const double expected = read<double>(file, "loss")[0];
    EXPECT_LT(std::abs(loss - expected) / expected, tolerance<T>());
    for (const TensorInfo& t : model.tensors()) {
        const std::vector<T> gradient(model.gradients() + t.offset, model.gradients() + t.offset + t.count);
        EXPECT_LT(relative_error(gradient, read<double>(file, "grad/" + t.name)), tolerance<T>()) << t.name;
    }
}

class Golden : public testing::TestWithParam<std::filesystem::path> {};
TEST_P(Golden, Double) { compare<double>(GetParam()); }
TEST_P(Golden, Float) { compare<float>(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Files, Golden, testing::ValuesIn(golden_files()),
                         [](const auto& info) { return info.param.stem().string(); });

// The files together use every word that a model can be made of.
TEST(GoldenCoverage, EveryWord) {
    std::set<std::string> used;
    for (const auto& path : golden_files())
        for (const auto& [key, value] :
             flatten(load_config_text(SafetensorsFile(path).metadata().at("config"), path.string(), {}, Purpose::plan)
                         .config))
            used.insert(key.substr(key.rfind('.') + 1) + "=" + value);
    const auto expect = [&](const char* key, const auto& words) {
        for (const auto& [word, e] : words)
            EXPECT_TRUE(used.count(std::string(key) + "=" + word)) << key << "=" << word;
    };
    expect("position", Words<Position>::all);
    expect("granularity", Words<Granularity>::all);
    expect("heads", Words<HeadSharing>::all);
    expect("combine", Words<Combine>::all);
    expect("activation", Words<Activation>::all);
    expect("input", Words<GateInput>::all);
    expect("target", Words<SwitchTarget>::all);
    expect("scaling", Words<Scaling>::all);
    expect("sdpa_norm", Words<SdpaNorm>::all);
    expect("sdpa_activation", Words<SdpaActivation>::all);
    for (const char* flag : {"bias", "tie_embeddings", "qk_norm", "sandwich_norm", "document_mask"})
        for (const char* value : {"true", "false"}) EXPECT_TRUE(used.count(std::string(flag) + "=" + value)) << flag;
}

}  // namespace
}  // namespace sluice
