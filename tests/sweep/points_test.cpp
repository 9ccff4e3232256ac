// The points of a sweep: their order, folders, configs and complaints, and what `match` gives them.
#include "model/counts.h"
#include "sweep/files.h"
#include "sweep/match.h"

namespace sluice {
namespace {

std::vector<std::string> names(const Judged& judged) {
    std::vector<std::string> names;
    for (const Point& point : judged.points) names.push_back(point.name());
    return names;
}

TEST_F(SweepFiles, BecomePointsInOrder) {
    const Judged j = judged(R"(sweep: {name: n}
variants: {a: [], b: [GATE]}
axes: {optimizer.lr: [1e-3, 0.02], "train.batch,train.steps": [[4, 10], [8, 5]]}
seeds: [7, 2]
)");
    ASSERT_EQ(j.points.size(), 16u);
    EXPECT_EQ(names(j)[0], "a,optimizer.lr=1e-3,train.batch=4,train.steps=10/seed-7");
    EXPECT_EQ(names(j)[1], "a,optimizer.lr=1e-3,train.batch=4,train.steps=10/seed-2");
    EXPECT_EQ(names(j)[2], "a,optimizer.lr=1e-3,train.batch=8,train.steps=5/seed-7");
    EXPECT_EQ(names(j)[15], "b,optimizer.lr=0.02,train.batch=8,train.steps=5/seed-2");
    const Point& point = j.points[15];
    EXPECT_EQ(point.folder, fs::path("runs/n/points/b,optimizer.lr=0.02,train.batch=8,train.steps=5/seed-2"));
    EXPECT_EQ(point.folder, fs::path(point.config.run.dir) / point.config.run.name);
    EXPECT_EQ(point.config.run.seed, 2);
    EXPECT_EQ(point.config.optimizer.lr, 0.02);
    EXPECT_EQ(point.config.train.batch, 8);
    EXPECT_EQ(point.config.train.micro_batch, 8);
    EXPECT_EQ(point.config.train.steps, 5);
    EXPECT_EQ(point.config.model.gates.all.size(), 1u);
    EXPECT_EQ(point.tokens, 5 * 8 * 16);
    EXPECT_EQ(point.parameters, count_parameters(point.config.model).total);
    EXPECT_EQ(point.flops_per_token, flops_per_token(point.config.model, 16));
    EXPECT_EQ(j.points[1].config.run.seed, 2);
    EXPECT_TRUE(j.points[1].config.model.gates.all.empty());
}

TEST_F(SweepFiles, LieOverTheBaseInTheOrderWritten) {
    const Judged j = judged(R"(set: ['model.gates=[{position: key}]', optimizer.lr=1]
variants: {none: ['model.gates=[]'], file: [GATE], last: [GATE, 'model.gates=[{position: value}]', optimizer.lr=2]}
axes: {optimizer.beta1: [0.5]}
)",
                            {"optimizer.lr=3"});
    EXPECT_TRUE(j.points[0].config.model.gates.all.empty());
    EXPECT_EQ(j.points[1].config.model.gates.all[0].position, Position::sdpa);
    EXPECT_EQ(j.points[2].config.model.gates.all[0].position, Position::value);
    EXPECT_EQ(j.points[0].config.optimizer.lr, 3);  // a key of every point
    EXPECT_EQ(j.points[2].config.optimizer.lr, 2);
    EXPECT_EQ(j.points[2].config.optimizer.beta1, 0.5);
}

TEST_F(SweepFiles, AreJudgedAsAWhole) {
    const std::string errors = error_of(R"(set: [data.sequence_lenght=3]
variants:
  a: []
  b: [nowhere.yaml, model.heads=3]
axes: {optimizer.lr: [0.01, x]}
)");
    for (const char* part :
         {"s.yaml:2:7: data.sequence_lenght=3: unknown key", "(every point)",
          "s.yaml:5:7: nowhere.yaml: no such file (points b,optimizer.lr=0.01, b,optimizer.lr=x)",
          "s.yaml:6:29: optimizer.lr=x: 'x' is not a number (points a,optimizer.lr=x, b,optimizer.lr=x)"})
        EXPECT_TRUE(has(errors, part)) << part << "\n" << errors;
    EXPECT_TRUE(has(error_of("variants: {a: [], c: [model.heads=3]}"), "(point c)"));
    const std::string same = error_of("axes: {data.tokenizer: [a/b, a-b]}");
    EXPECT_TRUE(has(same, "same folder")) << same;
    const std::string longest = error_of("axes: {data.tokenizer: [" + std::string(300, 'a') + "]}");
    EXPECT_TRUE(has(longest, "255 bytes")) << longest;
    const std::string ranks = error_of("sweep: {ranks: 3}");  // a batch of 4
    EXPECT_TRUE(has(ranks, "base")) << ranks;
}

TEST_F(SweepFiles, WarnOnceOfWhatSeveralPointsShare) {
    const Judged j = judged("set: [schedule.decay_steps=3]\nvariants: {a: [], b: [GATE]}\nseeds: [1, 2]");
    ASSERT_EQ(j.warnings.size(), 1u);
    EXPECT_TRUE(has(j.warnings[0], "schedule.decay_steps") && has(j.warnings[0], "(every point)")) << j.warnings[0];
}

TEST_F(SweepFiles, MatchParametersByTheWidthOfTheFfn) {
    const Judged j = judged(R"(variants: {wide: [model.ffn.hidden=256], base: [], gated: [GATE], two: [model.layers=3]}
baseline: base
axes: {model.hidden: [64, 128]}
match: parameters
)");
    for (size_t axis = 0; axis < 2; axis++) {
        const int64_t wanted = j.points[2 + axis].parameters;
        EXPECT_EQ(j.points[2 + axis].config.model.ffn.hidden, 128);
        EXPECT_EQ(j.points[0 + axis].parameters, wanted);
        for (const size_t variant : {4, 6}) {
            const Point& point = j.points[variant + axis];
            ModelSpec model = point.config.model;
            EXPECT_EQ(model.ffn.hidden % 8, 0);
            EXPECT_LT(model.ffn.hidden, 128);
            const auto far = [&](int64_t width) {
                model.ffn.hidden = width;
                return std::abs(count_parameters(model).total - wanted);
            };
            const int64_t width = point.config.model.ffn.hidden, there = far(width);
            EXPECT_LE(there, far(width - 8));
            EXPECT_LE(there, far(width + 8));
        }
    }
    const std::string wide = error_of("variants: {a: [], b: [model.hidden=512]}\nmatch: parameters");
    EXPECT_TRUE(has(wide, "with the narrowest model.ffn.hidden, 8, it has more") && has(wide, "(point b)")) << wide;
}

TEST_F(SweepFiles, MatchParametersByTheWidthOfExperts) {
    const Judged j = judged(R"(set: ['model.moe={experts: 4, top_k: 2, hidden: 64}']
variants: {base: [], gated: [GATE], more: [model.moe.experts=8]}
match: parameters
)");
    EXPECT_LT(j.points[1].config.model.moe.hidden, 64);
    EXPECT_EQ(j.points[1].config.model.ffn.hidden, 128);
    EXPECT_EQ(j.points[2].config.model.moe.hidden, 32);
    EXPECT_NEAR(double(j.points[2].parameters), double(j.points[0].parameters), 4 * 3 * 64 * 8 * 2);
}

TEST_F(SweepFiles, MatchFlopsBySteps) {
    const Judged j =
        judged(R"(variants: {base: [], gated: [GATE], tokens: [train.steps=null, train.tokens=64, model.layers=4]}
match: flops
)");
    EXPECT_EQ(j.points[0].config.train.steps, 100);
    for (const size_t i : {1, 2}) {
        const Config& config = j.points[i].config;
        EXPECT_LT(config.train.steps, 100);
        EXPECT_FALSE(config.train.tokens);
        EXPECT_NEAR(training_flops(config) / training_flops(j.points[0].config), 1, 0.5 / double(config.train.steps));
        EXPECT_EQ(j.points[i].flops(), training_flops(config));
    }
    const std::string open = error_of("set: [train.steps=null]\nvariants: {a: [], b: [GATE]}\nmatch: flops");
    EXPECT_TRUE(has(open, "the baseline's train.steps are not known")) << open;
}

TEST(MatchedWidth, TakesTheNarrowerOfTwoThatAreAsNear) {
    ModelSpec model;
    model.layers = 1, model.hidden = 16, model.heads = 2, model.kv_heads = 2, model.head_dim = 8, model.vocab = 32;
    const auto total = [&](int64_t width) {
        ModelSpec m = model;
        m.ffn.hidden = width;
        return count_parameters(m).total;
    };
    const int64_t unit = total(16) - total(8);
    EXPECT_EQ(matched_width(model, total(80)), 80);
    EXPECT_EQ(matched_width(model, total(80) + unit / 2), 80);
    EXPECT_EQ(matched_width(model, total(80) + unit / 2 + 1), 88);
    EXPECT_EQ(matched_width(model, total(80) - unit / 2 - 1), 72);
    EXPECT_EQ(matched_width(model, total(8) - unit / 2), 8);
    EXPECT_EQ(matched_width(model, total(8) - unit / 2 - 1), 0);
}

}  // namespace
}  // namespace sluice
