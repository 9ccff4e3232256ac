// `sluice report` as users call it: of a sweep, while it is half done, of a run, of what is neither or damaged.
#include "apps/program.h"

namespace sluice {
namespace {

class Reports : public Program {
 protected:
    static bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
    void write(const std::string& name, const std::string& text) {
        fs::create_directories((folder_ / name).parent_path());
        std::ofstream(folder_ / name) << text;
    }
    // A run of six steps in the place of a sweep's point.
    void train(const std::string& group, int seed, const std::string& more = "") {
        const Ended done = run("train c.yaml train.steps=6 run.dir=runs/s/points/" + group + " run.name=seed-" +
                               std::to_string(seed) + " run.seed=" + std::to_string(seed) + more);
        ASSERT_EQ(done.code, 0) << done.err;
    }
    void make_sweep() {
        train("none", 1, " 'model.gates=[]'");
        train("gate", 1);
        write("runs/s/sweep.yaml", "base: gone.yaml\nvariants: {none: ['model.gates=[]'], gate: []}\nseeds: [1, 2]\n");
    }
};

TEST_F(Reports, OfASweepThatIsHalfDone) {
    make_sweep();
    std::ofstream(folder_ / "runs/s/points/gate/seed-1/metrics.jsonl", std::ios::app) << "{\"step\": 7, \"lo";
    const Ended made = run("report runs/s");
    ASSERT_EQ(made.code, 0) << made.err;
    EXPECT_EQ(made.out, "4 points: 2 waiting, 2 done | runs/s/report.html\n");
    EXPECT_TRUE(has(made.err, "warning: 2 of 4 points are over")) << made.err;
    EXPECT_TRUE(has(made.err, "warning: One seed decides nothing")) << made.err;
    for (const char* name : {"report.html", "report.md", "report.csv", "summary.csv"})
        EXPECT_TRUE(fs::exists(folder_ / "runs/s" / name)) << name;
    const std::string csv = text("runs/s/report.csv");
    EXPECT_TRUE(has(csv, "\nnone,1,done,")) << csv;
    EXPECT_TRUE(has(csv, "\nnone,2,waiting,")) << csv;
    EXPECT_EQ(run("report runs/s/").out, made.out);  // and again, over what is there
    EXPECT_EQ(run("report \"$PWD\"/runs/../runs/s").code, 0);
    const std::string here = "cd runs/s && '" SLUICE_PROGRAM "' report . >out 2>err";
    EXPECT_EQ(std::system(("cd '" + folder_.path().string() + "' && " + here).c_str()), 0);
    EXPECT_EQ(text("runs/s/report.csv"), csv);
}

TEST_F(Reports, OfARun) {
    ASSERT_EQ(run("train c.yaml train.steps=6").code, 0);
    const Ended made = run("report runs/a");
    ASSERT_EQ(made.code, 0) << made.err;
    EXPECT_EQ(made.out, "1 run: 1 done | runs/a/report.html\n");
    EXPECT_EQ(made.err, "");
    EXPECT_FALSE(fs::exists(folder_ / "runs/a/summary.csv"));
    EXPECT_EQ(run("train c.yaml train.steps=6").code, 0);  // the run goes on being one
}

TEST_F(Reports, APointThatLostItsEndIsInNoMean) {
    make_sweep();
    const std::string path = "runs/s/points/gate/seed-1/metrics.jsonl", rows = text(path);
    write(path, rows.substr(0, rows.size() - 20));
    ASSERT_EQ(run("report runs/s").code, 0);
    EXPECT_TRUE(has(text("err"), path + ": ends at step 5 of 6: what the run has given is lost")) << text("err");
    EXPECT_TRUE(has(text("runs/s/summary.csv"), "\ngate,0\n")) << text("runs/s/summary.csv");
}

TEST_F(Reports, CountSpikes) {
    std::string rows;
    for (int step = 1; step <= 60; step++)
        rows += "{\"step\": " + std::to_string(step) +
                ", \"loss\": " + (step == 30 || step == 50 ? "9" : "3.0" + std::to_string(step % 7)) + "}\n";
    write("runs/b/metrics.jsonl", rows);
    ASSERT_EQ(run("report runs/b").code, 0) << text("err");
    EXPECT_TRUE(text("runs/b/report.csv").ends_with(",2\n")) << text("runs/b/report.csv");
    write("runs/b/metrics.jsonl", rows + "{\"step\": 61, \"loss\": 3, \"spikes\": 7}\n");  // what a guard has counted
    ASSERT_EQ(run("report runs/b").code, 0);
    EXPECT_TRUE(text("runs/b/report.csv").ends_with(",7\n")) << text("runs/b/report.csv");
}

TEST_F(Reports, OfNothing) {
    EXPECT_EQ(run("report missing").code, 2);
    EXPECT_EQ(text("err"), "error: missing does not exist: give DIR/NAME, as runs/quickstart\n");
    fs::create_directories(folder_ / "runs/s/points");
    EXPECT_EQ(run("report runs/s").code, 2);
    EXPECT_TRUE(has(text("err"), "runs/s is the folder of neither a sweep nor a run"));
    write("runs/s/sweep.yaml", "base: c.yaml\n");
    EXPECT_EQ(run("report runs/s").code, 1);
    EXPECT_EQ(text("err"), "error: runs/s: nothing to report: no run there has logged a step yet\n");
    write("runs/s/sweep.yaml", "base: c.yaml\nvariant: {}\n");
    EXPECT_EQ(run("report runs/s").code, 2);
    EXPECT_TRUE(has(text("err"), "runs/s/sweep.yaml:2:1: ")) << text("err");
    EXPECT_EQ(run("report").code, 2);
}

TEST_F(Reports, DamagedFilesAreNamedAndTheRestShown) {
    make_sweep();
    write("runs/s/points/gate/seed-1/config.yaml", "model: [");
    std::ofstream(folder_ / "runs/s/points/none/seed-1/metrics.jsonl", std::ios::app) << "nonsense\n";
    const Ended made = run("report runs/s");
    ASSERT_EQ(made.code, 0) << made.err;
    EXPECT_TRUE(has(made.err, "gate/seed-1/config.yaml:1:")) << made.err;
    EXPECT_TRUE(has(made.err, "runs/s/points/none/seed-1/metrics.jsonl:8: 1 line from here on cannot be read"))
        << made.err;
}

}  // namespace
}  // namespace sluice
