// Sweep files: what they may say, and what is said of those that may not.
#include "sweep/files.h"

namespace sluice {
namespace {

TEST_F(SweepFiles, HaveDefaults) {
    const SweepSpec spec = read("");
    EXPECT_EQ(spec.name, "s");
    EXPECT_EQ(spec.dir, "runs");
    EXPECT_EQ(spec.ranks, 1);
    EXPECT_EQ(spec.parallel, 1);
    EXPECT_EQ(spec.retries, 1);
    EXPECT_EQ(spec.base, path("base.yaml"));
    ASSERT_EQ(spec.variants.size(), 1u);
    EXPECT_EQ(spec.variants[0].name, "base");
    EXPECT_EQ(spec.baseline, "base");
    EXPECT_EQ(spec.seeds, std::vector<int64_t>{1});
    EXPECT_EQ(spec.match, Match::none);
}

const char* const kWhole = R"(sweep: {name: n, dir: d, ranks: 2, parallel: 3, retries: 0, stop_on_divergence: true}
set: [train.steps=50, GATE]
variants: {b: [], a: ['model.gates=[{position: value}]', GATE]}
baseline: a
axes: {optimizer.lr: [1e-3, 0.01], "train.batch,train.steps": [[4, 10], [8, 5]], model.gates: [[], [{position: key}]]}
seeds: [3, 0]
match: flops
)";

TEST_F(SweepFiles, ReadBackFromWhatIsWrittenOfThem) {
    const SweepSpec spec = read(kWhole);
    EXPECT_EQ(spec.variants[1].layers[1].text, path("gate.yaml"));
    EXPECT_EQ(spec.axes[1].keys, (std::vector<std::string>{"train.batch", "train.steps"}));
    EXPECT_EQ(flow_text(spec.axes[2].values[1][0]), "[{position: key}]");
    fs::create_directories(folder_ / "d/n");
    const std::string text = dump_sweep(spec, path("d/n"));
    write("d/n/sweep.yaml", text);
    for (const SweepSpec& again : {read_sweep(path("d/n/sweep.yaml")), read_sweep(path("d/n"))}) {
        EXPECT_EQ(fs::weakly_canonical(again.base), fs::weakly_canonical(spec.base));
        EXPECT_EQ(dump_sweep(again, path("d/n")), text);
        EXPECT_EQ(again.seeds, spec.seeds);
        EXPECT_EQ(again.baseline, "a");
        EXPECT_EQ(again.match, Match::flops);
        EXPECT_EQ(again.retries, 0);
        EXPECT_TRUE(again.stop_on_divergence);
    }
}

TEST_F(SweepFiles, TakeOverridesOfTheSweepAndOfEveryPoint) {
    const SweepSpec spec = read(kWhole, {"sweep.parallel=7", "seeds=[9]", "optimizer.beta1=0.5", "axes={}"});
    EXPECT_EQ(spec.parallel, 7);
    EXPECT_EQ(spec.ranks, 2);
    EXPECT_EQ(spec.seeds, std::vector<int64_t>{9});
    EXPECT_EQ(spec.set.back().text, "optimizer.beta1=0.5");
    EXPECT_EQ(spec.axes.size(), 3u);  // a map lies over a map
    EXPECT_TRUE(has(error_of("", {"sweep.paralel=7"}), "did you mean 'parallel'"));
    EXPECT_TRUE(has(error_of("", {"base=x.yaml"}), "base can be given in a file only"));
}

TEST_F(SweepFiles, SayAllThatIsWrongWithThem) {
    const std::string errors = error_of(R"(sweep: {name: a/b, parallel: 0, rank: 2, retries: x}
variant: {}
variants: {"a,b": [], c: 3, d: [model, run.seed=3]}
baseline: cc
axes: {optimizer.lr: [1, 1e0], "a,b": [[1], 2], run.name: [x], "optimizer.lr,k": [], "": [1]}
seeds: [1, 1, -1, x]
match: parameter
)");
    for (const char* part : {"s.yaml:2:15: sweep.name: 'a/b' cannot name a folder",
                             "s.yaml:2:30: sweep.parallel: 0 is out of range",
                             "s.yaml:2:33: sweep.rank: unknown key (did you mean 'ranks'?)",
                             "sweep.retries: 'x' is not an integer",
                             "s.yaml:3:1: variant: unknown key (did you mean 'variants'?)",
                             "variants.a,b: cannot name a folder",
                             "s.yaml:4:26: variants.c: '3' is not a list",
                             "variants.d: 'model' is neither a file (.yaml) nor key=value",
                             "variants.d: run.seed is given by the sweep",
                             "s.yaml:5:11: baseline: no variant is named 'cc' (did you mean 'c'?)",
                             "s.yaml:6:26: axes.optimizer.lr: the value 1 stands twice",
                             "axes.a,b: 1 value for 2 keys",
                             "axes.a,b: '2' is not a list",
                             "axes.run.name: run.name is given by the sweep",
                             "optimizer.lr is already on an axis",
                             "axes.: not a key of a config",
                             "s.yaml:7:12: seeds: 1 stands twice",
                             "seeds: -1 is out of range",
                             "seeds: 'x' is not an integer",
                             "s.yaml:8:8: match: 'parameter' is not one of"})
        EXPECT_TRUE(has(errors, part)) << part << "\n" << errors;
    EXPECT_TRUE(has(error_of("variants: {}"), "variants: has no variant"));
    EXPECT_TRUE(has(error_of("seeds: []"), "seeds: has no seed"));
    EXPECT_TRUE(has(error_of("axes: {optimizer.lr: []}"), "has no value"));
    EXPECT_THROW(read_sweep(path("nowhere.yaml")), Failure);
    EXPECT_THROW(read_sweep(write("list.yaml", "[1]")), Failure);
    EXPECT_THROW(read_sweep(write("without.yaml", "seeds: [1]")), Failure);
    EXPECT_THROW(read_sweep(write("lost.yaml", "base: nowhere.yaml")), Failure);
}

TEST_F(SweepFiles, OfTheRepositoryAreJudgedFit) {
    const fs::path before = fs::current_path();
    fs::current_path(SLUICE_SOURCE_DIR);
    int files = 0;
    for (const auto& entry : fs::directory_iterator("configs/sweeps")) {
        files++;
        const std::string file = entry.path().string(), stem = entry.path().stem().string();
        const bool small = has(stem, "_quick") || has(stem, "_night");
        const SweepSpec spec = read_sweep(file);
        const Judged j = judge(spec, Purpose::plan);
        EXPECT_TRUE(j.warnings.empty()) << j.warnings[0];
        EXPECT_GE(spec.variants.size(), 2u) << file;
        EXPECT_EQ(spec.baseline, "baseline") << file;
        const bool compares_gates = has(stem, "gates") || has(stem, "claims");
        EXPECT_EQ(spec.match == Match::parameters, compares_gates || has(stem, "table2") || has(stem, "ladder"))
            << file;
        EXPECT_EQ(spec.seeds.size(), compares_gates || has(stem, "_night") ? 3u : 1u) << file;
        for (const Point& point : j.points) {
            const bool gated = !point.config.model.gates.all.empty();
            EXPECT_TRUE(point.variant != "baseline" || gated == has(stem, "ablation")) << file;
            EXPECT_EQ(point.parameters < 10'000'000, small) << file;
            EXPECT_EQ(point.config.probes.every > 0, small) << file << ": reports need probes";
            EXPECT_EQ(point.config.eval.every > 0, small) << file;
            EXPECT_GT(point.tokens, 0) << file;
        }
        std::ifstream in(entry.path());
        std::string head;
        std::getline(in, head);
        std::string title = stem.substr(0, stem.find('_'));
        title[0] = char(std::toupper(title[0]));
        if (has(title, "Table")) title.insert(5, " ");
        EXPECT_TRUE(head.starts_with("# " + title)) << head;
    }
    EXPECT_EQ(files, 24);
    fs::current_path(before);
}

}  // namespace
}  // namespace sluice
