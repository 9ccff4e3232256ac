// Inspections: against a layer that is computed here by plain loops, and on every mesh as on one rank.
#include "eval/inspect.h"

#include <gtest/gtest.h>

#include <cmath>
#include <mutex>

#include "model/mesh_shape.h"
#include "support/models.h"

namespace sluice {
namespace {

using Rows2 = std::vector<std::vector<double>>;
constexpr double kClose = 1e-12;

InspectedText some_text(int64_t count, int64_t length, int64_t sequences) {
    InspectedText text{{}, {}, length, sequences};
    for (int64_t i = 0; i < count; i++) text.tokens.push_back(int32_t((i * i * 5 + 3 * i + i / 4) % 11));
    return text;
}

std::vector<double> weights_of(const Model<Cpu<double>>& model, const std::string& name) {
    for (const TensorInfo& t : model.tensors())
        if (t.name == name) return {values_of(model, t), values_of(model, t) + t.count};
    ADD_FAILURE() << name;
    return {};
}
// w (out, in) times each row of x.
Rows2 product(const std::vector<double>& w, const Rows2& x) {
    const size_t in = x[0].size(), out = w.size() / in;
    Rows2 y(x.size(), std::vector<double>(out));
    for (size_t t = 0; t < x.size(); t++)
        for (size_t o = 0; o < out; o++)
            for (size_t i = 0; i < in; i++) y[t][o] += w[o * in + i] * x[t][i];
    return y;
}
void rotate(Rows2& x, size_t dim) {
    for (size_t t = 0; t < x.size(); t++)
        for (size_t h = 0; h < x[t].size(); h += dim)
            for (size_t i = 0; i < dim / 2; i++) {
                const double angle = double(t) * std::pow(10000.0, -2.0 * double(i) / double(dim));
                double &a = x[t][h + i], &b = x[t][h + dim / 2 + i];
                const double turned = a * std::cos(angle) - b * std::sin(angle);
                b = b * std::cos(angle) + a * std::sin(angle);
                a = turned;
            }
}

// What layer 0 of a model without QK-norm does to one window: 2 heads of 4 channels, with one key and value head.
struct PlainLayer {
    Rows2 weights[2];  // of each head: (tokens, tokens)
    Rows2 mixed, scores;
    double largest[2] = {-INFINITY, -INFINITY};
};
PlainLayer plain_layer(const Model<Cpu<double>>& model, const int32_t* tokens, size_t count) {
    const auto embedding = weights_of(model, "embedding.weight"),
               norm = weights_of(model, "layers.0.attention_norm.weight");
    Rows2 x(count, std::vector<double>(8));
    for (size_t t = 0; t < count; t++) {
        double squares = 0;
        for (size_t i = 0; i < 8; i++) squares += std::pow(embedding[size_t(tokens[t]) * 8 + i], 2);
        for (size_t i = 0; i < 8; i++)
            x[t][i] = embedding[size_t(tokens[t]) * 8 + i] / std::sqrt(squares / 8 + 1e-6) * norm[i];
    }
    const std::string prefix = "layers.0.attention.";
    Rows2 q = product(weights_of(model, prefix + "query.weight"), x),
          k = product(weights_of(model, prefix + "key.weight"), x);
    const Rows2 v = product(weights_of(model, prefix + "value.weight"), x);
    rotate(q, 4);
    rotate(k, 4);
    PlainLayer layer{{Rows2(count, std::vector<double>(count)), Rows2(count, std::vector<double>(count))},
                     Rows2(count, std::vector<double>(8)),
                     product(weights_of(model, prefix + "gates.0.weight"), x)};
    for (size_t h = 0; h < 2; h++)
        for (size_t t = 0; t < count; t++) {
            double total = 0;
            for (size_t u = 0; u <= t; u++) {
                double score = 0;
                for (size_t i = 0; i < 4; i++) score += q[t][4 * h + i] * k[u][i] / 2;
                layer.largest[h] = std::max(layer.largest[h], score);
                total += layer.weights[h][t][u] = std::exp(score);
            }
            for (size_t u = 0; u <= t; u++) {
                layer.weights[h][t][u] /= total;
                for (size_t i = 0; i < 4; i++) layer.mixed[t][4 * h + i] += layer.weights[h][t][u] * v[u][i];
            }
        }
    return layer;
}

TEST(Inspect, NumbersAreThoseOfPlainLoops) {
    const ModelSpec spec = small_model("qk_norm=false;kv_heads=1;gates=[{position: sdpa}]");
    Model<Cpu<double>> model(spec, {2, 5}, Recompute::none, Mode::inspection);
    set_weights(model);
    const InspectedText text = some_text(12, 5, 2);  // windows of 5, 5 and 2 tokens
    const Inspection inspection = inspect(model, text);
    const InspectedLayer& layer = inspection.layers[0];

    double first[2] = {}, entropy[2] = {}, most[2] = {-INFINITY, -INFINITY}, factors[2] = {}, bins[kGateBins] = {};
    std::vector<double> before[2], after[2];  // by head
    for (size_t start = 0; start < 12; start += 5) {
        const size_t count = std::min<size_t>(5, 12 - start);
        const PlainLayer plain = plain_layer(model, text.tokens.data() + start, count);
        for (size_t h = 0; h < 2; h++) {
            most[h] = std::max(most[h], plain.largest[h]);
            for (size_t t = 0; t < count; t++) {
                first[h] += plain.weights[h][t][0];
                for (size_t u = 0; u <= t; u++) entropy[h] -= plain.weights[h][t][u] * std::log(plain.weights[h][t][u]);
                for (size_t i = 4 * h; i < 4 * h + 4; i++) {
                    const double g = 1 / (1 + std::exp(-plain.scores[t][i]));
                    factors[h] += g;
                    bins[40 + int(g / 0.05)]++;
                    before[h].push_back(plain.mixed[t][i]);
                    after[h].push_back(plain.mixed[t][i] * g);
                }
            }
        }
        if (start > 0) continue;
        ASSERT_EQ(inspection.map_tokens, 5);
        for (size_t t = 0; t < 5; t++)
            for (size_t u = 0; u < 5; u++)
                EXPECT_NEAR(layer.map[t * 5 + u], (plain.weights[0][t][u] + plain.weights[1][t][u]) / 2, kClose);
    }
    for (size_t h = 0; h < 2; h++) {
        const AttentionSums& head = layer.sums.attention[h];
        EXPECT_EQ(head.count, 12);
        EXPECT_NEAR(head.first, first[h], kClose);
        EXPECT_NEAR(head.entropy, entropy[h], 12 * kClose);
        EXPECT_NEAR(head.largest, most[h], kClose);
        EXPECT_EQ(layer.sums.gates[0][h].count, 48);
        EXPECT_NEAR(layer.sums.gates[0][h].sum, factors[h], 48 * kClose);
    }
    for (int b = 0; b < kGateBins; b++)
        EXPECT_EQ(layer.sums.gates[0][0].bins[b] + layer.sums.gates[0][1].bins[b], bins[b]) << b;
    const auto expect = [&](const MagnitudeSums& got, const std::vector<double>& x, double factor) {
        MagnitudeSums want;
        for (const double value : x) {
            const double m = std::abs(factor * value);
            want.sum += m;
            for (int u = 0; u < 2; u++) want.under[u] += m < kSmallMagnitudes[u];
        }
        EXPECT_EQ(got.count, 48);
        EXPECT_NEAR(got.sum, want.sum, 48 * kClose);
        for (int u = 0; u < 2; u++) EXPECT_EQ(got.under[u], want.under[u]);
    };
    ASSERT_EQ(layer.mean_score.size(), 2u);
    for (size_t h = 0; h < 2; h++) {
        expect(layer.sums.before[h], before[h], 1);
        expect(layer.sums.after[h], after[h], 1);
        expect(layer.mean_score[h], before[h], (factors[0] + factors[1]) / 96);
    }

    const auto gate = weights_of(model, "layers.0.attention.gates.0.weight");
    ASSERT_EQ(layer.row_norms[0].size(), 8u);
    for (size_t r = 0; r < 8; r++) {
        double squares = 0;
        for (size_t i = 0; i < 8; i++) squares += gate[r * 8 + i] * gate[r * 8 + i];
        EXPECT_NEAR(layer.row_norms[0][r], std::sqrt(squares), kClose);
    }
}

// A window's documents are looked at by themselves; what hides the first token leaves it no weight.
TEST(Inspect, DocumentsAndWindows) {
    Model<Cpu<double>> model(small_model(""), {1, 6}, Recompute::none, Mode::inspection);
    set_weights(model);
    InspectedText text = some_text(6, 6, 1);
    text.doc_start = {0, 1, 2, 3, 4, 5};
    const Inspection alone = inspect(model, text);
    for (const InspectedLayer& layer : alone.layers)
        for (const AttentionSums& head : layer.sums.attention) {
            EXPECT_NEAR(head.first, 6, kClose);
            EXPECT_NEAR(head.entropy, 0, kClose);
        }
    for (size_t i = 0; i < 36; i++) EXPECT_NEAR(alone.layers[1].map[i], i % 7 == 0 ? 1 : 0, kClose);
}

TEST(Inspect, ModelsHaveWhatTheirPartsHave) {
    const auto inspected = [](const std::string& keys) {
        Model<Cpu<double>> model(small_model(keys), {2, 5}, Recompute::none, Mode::inspection);
        set_weights(model);
        return inspect(model, some_text(13, 5, 2)).layers[1];
    };
    const InspectedLayer plain = inspected("");
    EXPECT_TRUE(plain.sums.gates.empty());
    EXPECT_TRUE(plain.mean_score.empty());
    EXPECT_EQ(sum_of(plain.sums.after).count, 0);
    EXPECT_EQ(sum_of(plain.sums.before).count, 13 * 8);
    EXPECT_EQ(plain.sums.residual.count, 13 * 8);
    EXPECT_TRUE(plain.sums.picks.empty());

    const InspectedLayer rela = inspected("attention={kind: rela};gates=[{position: sdpa, combine: add}]");
    EXPECT_TRUE(rela.sums.attention.empty());
    EXPECT_TRUE(rela.map.empty());
    EXPECT_EQ(sum_of(rela.sums.after).count, 13 * 8);
    EXPECT_TRUE(rela.mean_score.empty()) << "a gate that adds has no factor";

    const InspectedLayer experts = inspected("ffn.hidden=0;moe={experts: 4, top_k: 2, hidden: 6}");
    double picks = 0;
    for (const double of_expert : experts.sums.picks) picks += of_expert;
    EXPECT_EQ(picks, 13 * 2);
    EXPECT_GT(experts.sums.router_entropy, 0);
    EXPECT_LE(experts.sums.router_entropy, std::log(4));

    const InspectedLayer all = inspected(
        "switch_heads={target: kv, experts: 3, top_k: 2};gates=[{position: query, rank: 3}, {position: key, heads: "
        "shared}, {position: value, heads: averaged, granularity: headwise}, {position: sdpa, input: none}, "
        "{position: output}]");
    const size_t heads[] = {2, 1, 1, 2, 1}, rows[] = {8, 4, 2, 0, 8};
    const double counts[] = {13 * 8, 13 * 4, 13, 2 * 8, 13 * 8};  // constants are looked at once a pass
    for (size_t j = 0; j < 5; j++) {
        SCOPED_TRACE(j);
        EXPECT_EQ(all.sums.gates[j].size(), heads[j]);
        EXPECT_EQ(all.row_norms[j].size(), rows[j]);
        double count = 0;
        for (const GateSums& head : all.sums.gates[j]) count += head.count;
        EXPECT_EQ(count, counts[j]);
    }
}

std::vector<double> numbers(Inspection& inspection) {
    std::vector<double> all{double(inspection.map_tokens)};
    for (InspectedLayer& layer : inspection.layers) {
        std::vector<LayerSums> one{layer.sums};
        for (const auto& part : {numbers_of(one), layer.sums.picks, layer.map})
            all.insert(all.end(), part.begin(), part.end());
        for (const auto& norms : layer.row_norms) all.insert(all.end(), norms.begin(), norms.end());
        all.push_back(layer.sums.router_entropy);
        for (const MagnitudeSums& head : layer.mean_score)
            for (const double x : {head.count, head.sum, head.under[0], head.under[1]}) all.push_back(x);
    }
    return all;
}

TEST(Inspect, AMeshSaysWhatOneRankSays) {
    const std::string gates =
        ";gates=[{position: query, rank: 3}, {position: key, heads: shared}, {position: value, heads: averaged}, "
        "{position: value}, "
        "{position: sdpa}, {position: sdpa, granularity: headwise, input_width: 5}, {position: output}]";
    const struct {
        std::string keys;
        bool documents;
    } models[] = {
        {"heads=4;kv_heads=2;init_std=0.4;ffn.hidden=8" + gates, true},
        {"heads=4;kv_heads=2;init_std=0.4;ffn.hidden=8;attention={kind: rela}" + gates, false},
        {"heads=4;kv_heads=4;init_std=0.4;ffn.hidden=0;moe={experts: 4, top_k: 2, hidden: 8}" + gates, false}};
    const struct {
        int ranks;
        MeshShape shape;
    } meshes[] = {
        {2, {}}, {4, {}}, {2, {2, 1, false, 1}}, {4, {4, 1, true, 1}}, {4, {2, 1, true, 1}}, {4, {1, 4, false, 1}}};
    for (const auto& [keys, documents] : models) {
        const ModelSpec spec = small_model(keys);
        InspectedText text = some_text(47, 7, 2);
        for (int32_t i = 0; documents && i < 47; i++) text.doc_start.push_back(i % 7 / 4 * 4);
        const auto inspected = [&](int ranks, const MeshShape& shape) {
            std::mutex mutex;
            std::vector<std::vector<double>> all;
            run_threads(ranks, [&](Comm& comm) {
                MeshShape with_replicas = shape;
                with_replicas.replicas = std::max<int64_t>(1, shape.tensor / spec.kv_heads);
                Mesh mesh(comm, with_replicas);
                Model<Cpu<double>> model(spec, {2, 7}, Recompute::none, Mode::inspection, mesh);
                model.initialise(3);
                Inspection inspection = inspect(model, text);
                const std::lock_guard lock(mutex);
                all.push_back(numbers(inspection));
            });
            return all;
        };
        const std::vector<double> one = inspected(1, {})[0];
        for (const auto& [ranks, shape] : meshes) {
            if (shape.expert > 1 && spec.moe.experts == 0) continue;
            SCOPED_TRACE(testing::Message() << keys << " on " << ranks << ", tensor " << shape.tensor);
            for (const std::vector<double>& many : inspected(ranks, shape)) {
                ASSERT_EQ(many.size(), one.size());
                for (size_t i = 0; i < one.size(); i++)
                    ASSERT_NEAR(many[i], one[i], 1e-10 * (1 + std::abs(one[i]))) << i;
            }
        }
    }
}

}  // namespace
}  // namespace sluice
