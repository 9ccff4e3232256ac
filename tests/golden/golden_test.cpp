// The model against PyTorch: the loss and every gradient of the files beside this one (README.md), which together use
// every word of a model's config.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "config/load.h"
#include "model/model.h"
#include "support/models.h"
#include "support/oracle.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> golden_files() {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(SLUICE_SOURCE_DIR "/tests/golden"))
        if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

Config config_of(const SafetensorsFile& file, const fs::path& path) {
    return load_config_text(file.metadata().at("config"), path.stem().string(), {}, Purpose::plan).config;
}

template <class T>
std::vector<T> read(const SafetensorsFile& file, const std::string& name, const std::string& dtype) {
    const auto& entry = file.at(name);
    EXPECT_EQ(entry.dtype, dtype) << name;
    std::vector<T> values(entry.bytes / sizeof(T));
    file.read(entry, values.data(), entry.bytes);
    return values;
}

// The pass of one file's sequences as the model wants it.
struct Sample {
    Batch batch;
    std::vector<int32_t> tokens, targets, first;

    Sample(const SafetensorsFile& file, const Config& config) {
        batch = {config.train.batch, config.data.sequence_length};
        EXPECT_EQ(file.at("tokens").shape, (std::vector<int64_t>{batch.sequences, batch.length + 1}));
        const auto all = read<int64_t>(file, "tokens", "I64");
        for (int64_t s = 0; s < batch.sequences; s++)
            for (int64_t t = 0, document = 0; t < batch.length; t++) {
                const int64_t* token = &all[size_t(s * (batch.length + 1) + t)];
                if (config.data.document_mask && token[0] == *config.data.delimiter) document = t;
                tokens.push_back(int32_t(token[0]));
                targets.push_back(int32_t(token[1]));
                first.push_back(int32_t(document));
            }
        if (!config.data.document_mask) first.clear();
    }
};

template <class T>
void set_weights(Model<Cpu<T>>& model, const SafetensorsFile& file) {
    size_t expected = 2;  // loss; tokens
    for (const char* name : {"balance", "z"}) expected += file.tensors().count(name);
    for (const TensorInfo& t : model.tensors()) {
        expected += t.trained() ? 2 : 1;  // each with its gradient
        ASSERT_EQ(file.tensors().count(t.name), 1u) << t.name << " is no tensor of the golden model";
        ASSERT_EQ(file.at(t.name).shape, t.shape) << t.name;
        const auto values = read<double>(file, t.name, "F64");
        std::copy(values.begin(), values.end(), values_of(model, t));
    }
    ASSERT_EQ(file.tensors().size(), expected);
}

// The means over layers that a mixture's file has.
template <class T>
void compare_routing(const Model<Cpu<T>>& model, const SafetensorsFile& file) {
    RouterSums mean;
    for (const Routing& r : model.routing()) {
        mean.balance += r.sums->balance / double(model.routing().size());
        mean.z += r.sums->z / double(model.routing().size());
    }
    for (const auto& [name, value] : {std::pair{"balance", mean.balance}, {"z", mean.z}})
        if (file.tensors().count(name)) {
            EXPECT_LT(relative_error(std::vector{value}, read<double>(file, name, "F64")), tolerance<T>()) << name;
        }
}

template <class T>
void compare(const fs::path& path, Recompute recompute) {
    SCOPED_TRACE(std::string("recompute: ") + enum_name(recompute));
    const SafetensorsFile file(path);
    const Config config = config_of(file, path);
    const Sample sample(file, config);
    Model<Cpu<T>> model(config.model, sample.batch, recompute, Mode::training);
    ASSERT_NO_FATAL_FAILURE(set_weights(model, file));

    const double scale = 1 / double(sample.batch.tokens());
    model.forward_backward(sample.batch, sample.tokens.data(), sample.targets.data(),
                           sample.first.empty() ? nullptr : sample.first.data(), scale);
    const double loss = scale * model.totals().loss;
    EXPECT_LT(relative_error(std::vector{loss}, read<double>(file, "loss", "F64")), tolerance<T>()) << "loss";
    compare_routing(model, file);
    for (const TensorInfo& t : model.tensors()) {
        if (!t.trained()) continue;
        const T* gradient = model.gradients() + t.offset;
        const auto expected = read<double>(file, "grad/" + t.name, "F64");
        EXPECT_LT(relative_error(std::vector<T>(gradient, gradient + t.count), expected), tolerance<T>()) << t.name;
    }
}

class Golden : public testing::TestWithParam<fs::path> {};

TEST_P(Golden, LossAndGradientsInDouble) {
    for (const auto& [word, recompute] : EnumNames<Recompute>::all) compare<double>(GetParam(), recompute);
}

TEST_P(Golden, LossAndGradientsInFloat) { compare<float>(GetParam(), Recompute::none); }

INSTANTIATE_TEST_SUITE_P(Files, Golden, testing::ValuesIn(golden_files()),
                         [](const auto& file) { return file.param.stem().string(); });

// ---------------------------------------------------------------- what the files cover
// Words met so far: those of attention beside its kind, those of a gate beside its position.
class Coverage {
 public:
    Coverage() {
        for (const auto& path : golden_files()) add(config_of(SafetensorsFile(path), path).model);
    }

    template <NamedEnum E>
    void expect_all(const std::string& key, const std::string& coord = "") const {
        for (const auto& [word, value] : EnumNames<E>::all)
            EXPECT_TRUE(met_.count(coord + key + ": " + word))
                << "no golden model has " << coord << key << ": " << word;
    }
    void expect_both(const std::string& key) const {
        for (const char* word : {"false", "true"})
            EXPECT_TRUE(met_.count(key + ": " + word)) << "no golden model has " << key << ": " << word;
    }

 private:
    template <NamedEnum E>
    void meet(const std::string& key, E value) {
        met_.insert(key + ": " + enum_name(value));
    }
    void meet(const std::string& key, bool value) { met_.insert(key + (value ? ": true" : ": false")); }
    void meet(const std::string& key, int64_t value) { meet(key, value > 0); }

    void add(const ModelSpec& m) {
        meet("scaling", m.rope.scaling);
        for (int64_t layer = 0; layer < m.layers; layer++) add(m.attention.at(layer));
        meet("target", m.switch_heads.target);
        meet("tied", m.tie_embeddings);
        meet("qk_norm", m.qk_norm);
        meet("sandwich_norm", m.sandwich_norm);
        meet("residual_clip", m.residual_clip > 0);
        meet("gates per layer", m.gates.per_layer);
        meet("attention per layer", m.attention.per_layer);
        if (m.moe.experts > 0) {
            meet("balance", m.moe.balance);
            meet("norm_top_k", m.moe.norm_top_k);
            meet("shared expert", m.moe.shared_hidden > 0);
        }
        for (int64_t layer = 0; layer < m.layers; layer++)
            for (const GateSpec& g : m.gates.at(layer)) {
                add(g);
                meet(enum_name(m.attention.at(layer).kind) + std::string(" attention, gate"), g.position);
            }
    }
    void add(AttentionSpec spec) {
        meet("kind", spec.kind);
        const std::string coord = enum_name(spec.kind) + std::string(" attention, ");
        spec.fields(
            [&](const std::string& key, auto& field, const char*, const Attributes&) { meet(coord + key, field); });
    }
    void add(const GateSpec& g) {
        const std::string coord = enum_name(g.position) + std::string(" gate, ");
        meet("position", g.position);
        meet(coord + "granularity", g.granularity);
        meet(coord + "heads", g.heads);
        meet(coord + "combine", g.combine);
        meet(coord + "activation", g.activation);
        meet(coord + "scale", g.scale != 1);
        meet(coord + "input", g.input);
        meet(coord + "input_width", g.input_width);
        meet(coord + "rank", g.rank);
        meet(coord + "rank_activation", g.rank_activation);
        meet(coord + "bias", g.bias);
        meet("init_std", g.init_std.has_value());
    }

    std::set<std::string> met_;
};

TEST(GoldenCoverage, EveryWordOfAModel) {
    const Coverage coverage;
    coverage.expect_all<Scaling>("scaling");
    coverage.expect_all<SwitchTarget>("target");
    coverage.expect_all<Balance>("balance");
    for (const char* key : {"norm_top_k", "shared expert", "tied", "qk_norm", "sandwich_norm", "residual_clip",
                            "gates per layer", "attention per layer"})
        coverage.expect_both(key);
}

TEST(GoldenCoverage, EveryWordOfAttentionOfEachKind) {
    const Coverage coverage;
    coverage.expect_all<AttentionKind>("kind");
    for (const auto& [word, kind] : EnumNames<AttentionKind>::all) {
        const std::string coord = word + std::string(" attention, ");
        coverage.expect_all<Position>("gate", coord);
        AttentionSpec{}.fields([&]<class T>(const std::string& key, T&, const char*, const Attributes&) {
            if (key == "kind" || (key == "rela_gate" && kind != AttentionKind::rela)) return;
            if constexpr (NamedEnum<T>)
                coverage.expect_all<T>(key, coord);
            else
                coverage.expect_both(coord + key);
        });
    }
}

TEST(GoldenCoverage, EveryWordOfAGateAtEveryPosition) {
    const Coverage coverage;
    coverage.expect_all<Position>("position");
    coverage.expect_both("init_std");
    for (const auto& [word, position] : EnumNames<Position>::all) {
        const std::string coord = word + std::string(" gate, ");
        coverage.expect_all<Combine>("combine", coord);
        coverage.expect_all<Activation>("activation", coord);
        coverage.expect_all<GateInput>("input", coord);
        coverage.expect_both(coord + "scale");
        coverage.expect_both(coord + "bias");
        coverage.expect_both(coord + "input_width");
        coverage.expect_both(coord + "rank");
        coverage.expect_all<RankActivation>("rank_activation", coord);
        if (position == Position::output) continue;  // no heads left
        coverage.expect_all<Granularity>("granularity", coord);
        coverage.expect_all<HeadSharing>("heads", coord);
    }
}

}  // namespace
}  // namespace sluice
