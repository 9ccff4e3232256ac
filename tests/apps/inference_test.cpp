// Evaluation and sampling need what they use, and no more.
#include "apps/program.h"

namespace sluice {
namespace {

class Inference : public Program {
 protected:
    void SetUp() override {
        Program::SetUp();
        for (const char* set : {"training", "held"}) {
            std::ofstream(folder_ / "text.txt")
                << "It is a truth universally acknowledged, of " << set << ". " << std::string(200, 'x');
            const std::string command = "cd '" + folder_.path().string() +
                                        "' && '" SLUICE_DATA_PROGRAM "' tokenize --out " + set + " --name " + set +
                                        " text.txt >out 2>err";
            ASSERT_EQ(std::system(command.c_str()), 0) << text("err");
        }
        const Ended trained =
            run("train c.yaml model.vocab=300 train.steps=2 checkpoint.every=2 'data.train=[{path: "
                "training/training.json}]' "
                "'data.validation=[{name: held, path: held/held.json}]'");
        ASSERT_EQ(trained.code, 0) << trained.err;
    }
};

// All 256 bytes are as likely: NUL is among 2000 of them.
TEST_F(Inference, SamplesAreWrittenWhole) {
    const Ended sampled = run("sample runs/a --prompt ab --tokens 2000 --temperature 100 --top-k 0");
    ASSERT_EQ(sampled.code, 0) << sampled.err;
    EXPECT_EQ(sampled.out.size(), 2u + 2000 + 1);
    EXPECT_NE(sampled.out.find('\0'), std::string::npos);
}

TEST_F(Inference, NeedsNoTrainingShards) {
    const Ended before = run("sample runs/a --tokens 20"), loss = run("eval runs/a --json");
    ASSERT_EQ(before.code, 0) << before.err;
    ASSERT_EQ(loss.code, 0) << loss.err;
    fs::remove(folder_ / "training/training_000000.bin");
    EXPECT_EQ(run("sample runs/a --tokens 20").out, before.out);
    EXPECT_EQ(run("eval runs/a --json").out, loss.out);
    fs::remove_all(folder_ / "training");
    EXPECT_EQ(run("sample runs/a --tokens 20").out, before.out);
    EXPECT_EQ(run("eval runs/a --json").out, loss.out);
    EXPECT_EQ(run("eval runs/a --json data.tokenizer=gone.json").out, loss.out) << "a tokenizer is not used";
    fs::remove(folder_ / "held/held_000000.bin");
    EXPECT_EQ(run("sample runs/a --tokens 20").out, before.out);
    EXPECT_EQ(run("eval runs/a --json").code, 3);
    fs::remove_all(folder_ / "held");
    const Ended none = run("sample runs/a --tokens 20");
    EXPECT_EQ(none.code, 3);
    EXPECT_NE(none.err.find("data.tokenizer"), std::string::npos) << none.err;
    EXPECT_EQ(run("sample runs/a --tokens 20 data.tokenizer=bytes").out, before.out);
}

// However the change is written; what the model already is may be said again.
TEST_F(Inference, RefusesToChangeTheModel) {
    std::ofstream(folder_ / "over.yaml") << "model: {norm_eps: 0.5}\n";
    for (const char* change : {"model.norm_eps=0.5", "'model={norm_eps: 0.5}'", "over.yaml", "model.layers=1"})
        for (const char* command : {"eval", "sample"}) {
            const Ended refused = run(std::string(command) + " runs/a " + change);
            EXPECT_EQ(refused.code, 2) << command << " " << change;
            EXPECT_EQ(refused.out, "");
            EXPECT_NE(refused.err.find("a checkpoint's model cannot be changed: model."), std::string::npos)
                << refused.err;
        }
    EXPECT_EQ(run("eval runs/a --json model.vocab=300").out, run("eval runs/a --json").out);
}

}  // namespace
}  // namespace sluice
