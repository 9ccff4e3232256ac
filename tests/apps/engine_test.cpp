// Engines: the same program, with the CUDA kernels that the emulator runs, by the command line alone.
#include <csignal>

#include "apps/run_folder.h"
#include "base/version.h"
#include "support/sanitizers.h"

namespace sluice {
namespace {

class Engines : public RunFolder {
 protected:
    // Runs the program with `device: cuda` on an engine; empty: none is named.
    Ended with(const std::string& engine, const std::string& arguments, int ranks = 1) {
        setenv("SLUICE_ENGINE", engine.c_str(), 1);
        Ended ended = run(arguments, ranks);
        unsetenv("SLUICE_ENGINE");
        return ended;
    }
    Ended emulated(const std::string& arguments, int ranks = 1) {
        return with(SLUICE_EMULATED_ENGINE, arguments, ranks);
    }
    // "tests/apps/faulty_engine.cpp:14" of a line of the faulty engine.
    static std::string faulty(const std::string& line) {
        std::ifstream file(SLUICE_SOURCE_DIR "/tests/apps/faulty_engine.cpp");
        int64_t number = 1;
        for (std::string text; std::getline(file, text) && !has(text, line);) number++;
        return "tests/apps/faulty_engine.cpp:" + std::to_string(number);
    }
    std::vector<double> losses(const std::string& name) {
        std::vector<double> all;
        for (const Json& row : rows_with("loss", name)) all.push_back(row["loss"]);
        return all;
    }
    void expect_near(const std::string& name, const std::string& reference, double tolerance) {
        const std::vector<double> got = losses(name), want = losses(reference);
        ASSERT_EQ(got.size(), want.size()) << name;
        for (size_t i = 0; i < got.size(); i++) EXPECT_NEAR(got[i], want[i], tolerance) << name << ", row " << i;
    }
};

TEST_F(Engines, TrainsResumesEvaluatesAndSamples) {
    ASSERT_EQ(run("train c.yaml run.name=cpu").code, 0);
    ASSERT_EQ(emulated("train c.yaml device=cuda").code, 0) << text("err");
    expect_near("a", "cpu", 1e-4);
    const std::string whole = digest("a", 12);

    // Resumed in the middle: bit for bit.
    fs::remove_all(step(12));
    fs::remove(checkpoints() / "LATEST");
    ASSERT_EQ(emulated("train c.yaml device=cuda").code, 0) << text("err");
    EXPECT_EQ(digest("a", 12), whole);

    const auto loss = [&](const Ended& ended) {
        EXPECT_EQ(ended.code, 0) << ended.err;
        return parse_json(ended.out)["sets"]["held"]["loss"].get<double>();
    };
    const double on_cpu = loss(run("eval runs/a --json"));
    EXPECT_NEAR(loss(emulated("eval runs/a --json device=cuda")), on_cpu, 1e-5);
    EXPECT_NEAR(loss(emulated("eval runs/a --json device=cuda train.precision=bf16")), on_cpu, 0.02 * on_cpu);

    const Json inspected = parse_json(run("inspect runs/a --layers 0-1 --json").out)["layers"].flatten();
    const Json on_gpu = parse_json(emulated("inspect runs/a --layers 0-1 --json device=cuda").out)["layers"].flatten();
    for (const auto& [key, value] : inspected.items()) {
        if (has(key, "histogram")) continue;  // a factor at the edge of a bin may be in the next one
        ASSERT_TRUE(on_gpu.contains(key)) << key;
        if (value.is_number_float())
            EXPECT_NEAR(on_gpu[key].get<double>(), value.get<double>(), has(key, "under") ? 0.01 : 2e-4) << key;
        else
            EXPECT_EQ(on_gpu[key], value) << key;
    }
    EXPECT_TRUE(on_gpu.contains("/1/sdpa/after/per_head/1/mean_abs"));

    const std::string sampled = "sample runs/a --prompt abc --tokens 5 --temperature 0 data.tokenizer=bytes ";
    EXPECT_EQ(emulated(sampled + "device=cuda").code, run(sampled).code);
}

TEST_F(Engines, ResumesInBf16BitForBit) {
    const std::string keys = "train c.yaml device=cuda train.precision=bf16 train.steps=4 checkpoint.every=2";
    ASSERT_EQ(emulated(keys).code, 0) << text("err");
    const std::string whole = digest("a", 4);
    fs::remove_all(step(4));
    fs::remove(checkpoints() / "LATEST");
    ASSERT_EQ(emulated(keys).code, 0) << text("err");
    EXPECT_EQ(digest("a", 4), whole);
}

// A run says by what attention is made, once, and a resumed one may ask for another.
TEST_F(Engines, SaysByWhatAttentionIsMade) {
    const std::string keys =
        "train c.yaml train.precision=bf16 data.sequence_length=128 model.head_dim=32 model.gates=[] train.batch=1 "
        "schedule.warmup_steps=0 'data.validation=[]' eval.every=0 sample.every=0 ";
    const auto said = [](const Ended& ended) {
        EXPECT_EQ(ended.code, 0) << ended.err;
        std::vector<std::string> lines;
        std::istringstream out(ended.out);
        for (std::string line; std::getline(out, line);)
            if (line.starts_with("attention ")) lines.push_back(line);
        return lines;
    };
    using Lines = std::vector<std::string>;
    EXPECT_EQ(said(emulated(keys + "device=cuda train.steps=1")),
              Lines{"attention cuDNN 9.19 (engine 2 forward, 6 backward)"});
    const Ended resumed = emulated(keys + "device=cuda train.steps=2 train.attention=own checkpoint.allow_change=true");
    EXPECT_EQ(said(resumed), Lines{"attention own: train.attention"});
    EXPECT_TRUE(has(resumed.out + resumed.err, "train.attention: auto -> own")) << resumed.out << resumed.err;
    EXPECT_EQ(said(run(keys + "train.precision=fp32 device=cpu train.steps=1 run.name=cpu")), Lines());
}

// A rate at which the second step overflows: every rank skips what follows, and the tenth ends the run.
TEST_F(Engines, SkipsWhatIsNotFiniteAsTheCpuDoes) {
    const std::string keys =
        "train c.yaml optimizer.lr=1e38 schedule.warmup_steps=0 optimizer.weight_decay=0 model.layers=1 train.batch=2 "
        "train.steps=40 run.name=";
    const auto skipped = [&](const Ended& ended, const std::string& name) {
        EXPECT_EQ(ended.code, 6) << ended.err;
        EXPECT_TRUE(has(ended.err, "10 steps in a row were not finite")) << ended.err;
        std::vector<int64_t> steps;
        for (const Json& row : rows_with("loss", name))
            if (row["loss"].is_null() || row["grad_norm"].is_null()) steps.push_back(row["step"]);
        return steps;
    };
    const std::vector<int64_t> on_cpu = skipped(run(keys + "cpu"), "cpu");
    EXPECT_EQ(on_cpu.size(), 10u);
    EXPECT_EQ(skipped(emulated(keys + "one device=cuda"), "one"), on_cpu);
    EXPECT_EQ(skipped(emulated(keys + "two device=cuda", 2), "two"), on_cpu);
}

TEST_F(Engines, AKernelThatFailsIsOneLine) {
    const Ended ended = with(SLUICE_FAULTY_ENGINE, "train c.yaml device=cuda 'data.validation=[]'");
    EXPECT_EQ(ended.code, 1);
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    for (const std::string& word : {std::string("error: "), std::string("swiglu_forward rows 16 width 48: "),
                                    std::string("NoBarrier block (0, 0, 0) thread 0: reads shared memory that was not"),
                                    faulty("row[thread() ^ 32]")})
        EXPECT_TRUE(has(ended.err, word)) << word << " is not in " << ended.err;
}

// The host learns of it when it waits: other ops have been queued behind. With the word it waits for each.
TEST_F(Engines, AnErrorThatShowsLaterNamesWhatWasQueuedLast) {
    const std::string train = "train c.yaml device=cuda 'data.validation=[]' checkpoint.every=0";
    const auto fails = [&](const char* word) {
        setenv("SLUICE_CUDA_SYNC", word, 1);
        const std::string told = with(SLUICE_FAULTY_ENGINE, train).err;
        unsetenv("SLUICE_CUDA_SYNC");
        EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1) << told;
        return told;
    };
    for (const char* word : {"", "0"}) {
        const std::string told = fails(word);
        const size_t list = told.find("; queued last: ");
        ASSERT_NE(list, told.npos) << told;
        EXPECT_EQ(std::count(told.begin() + int64_t(list), told.end(), ','), 5) << told;
        EXPECT_FALSE(told.starts_with("error: swiglu_forward rows 16 width 48: NoBarrier: ")) << told;
    }
    const std::string told = fails("1");
    EXPECT_TRUE(told.starts_with("error: swiglu_forward rows 16 width 48: NoBarrier: ")) << told;
    EXPECT_FALSE(has(told, "queued last")) << told;
    // It changes no bits.
    ASSERT_EQ(emulated("train c.yaml device=cuda run.name=b train.steps=4").code, 0);
    setenv("SLUICE_CUDA_SYNC", "1", 1);
    ASSERT_EQ(emulated("train c.yaml device=cuda run.name=c train.steps=4").code, 0);
    unsetenv("SLUICE_CUDA_SYNC");
    EXPECT_EQ(digest("b", 4), digest("c", 4));
}

// Nothing that a program does reads device memory as if it were the host's.
TEST_F(Engines, AHostThatReadsDeviceMemoryIsFound) {
    if (kSanitized) GTEST_SKIP() << "sanitizers leave device memory readable";
    const Ended ended = with(SLUICE_FAULTY_ENGINE, "train c.yaml device=cuda train.precision=bf16");
    EXPECT_EQ(ended.code, 128 + SIGABRT);
    EXPECT_TRUE(has(ended.err, "host read of device memory at 0x")) << ended.err;
    EXPECT_TRUE(has(ended.err, ", " + faulty("h[0] = gate_up[0]"))) << ended.err;
}

TEST_F(Engines, GoesOnFromTheCpuAndBack) {
    ASSERT_EQ(run("train c.yaml run.name=cpu").code, 0);
    ASSERT_EQ(run("train c.yaml").code, 0);
    for (const int64_t last : {12, 8}) fs::remove_all(step(last));
    fs::remove(checkpoints() / "LATEST");
    ASSERT_EQ(emulated("train c.yaml device=cuda").code, 0) << text("err");  // steps 5 .. 12
    fs::remove_all(step(12));
    fs::remove(checkpoints() / "LATEST");
    ASSERT_EQ(run("train c.yaml").code, 0) << text("err");  // steps 9 .. 12
    const std::vector<std::string> rows = course("a"), reference = course("cpu");
    ASSERT_EQ(rows.size(), reference.size());
    for (size_t i = 0; i < rows.size(); i++) EXPECT_NEAR(std::stod(rows[i]), std::stod(reference[i]), 1e-4) << i;
}

TEST_F(Engines, EveryMeshAgreesWithOneRank) {
    const std::string mixture = " 'model.moe={experts: 4, top_k: 2, hidden: 24}' checkpoint.every=100 train.steps=5";
    ASSERT_EQ(emulated("train c.yaml device=cuda run.name=dense train.steps=5 checkpoint.every=100").code, 0);
    ASSERT_EQ(emulated("train c.yaml device=cuda run.name=mixture train.micro_batch=2" + mixture).code, 0)
        << text("err");
    const std::string dense = " train.steps=5 checkpoint.every=100";
    const struct {
        const char *name, *keys;
        bool experts;
    } meshes[] = {{"data", "parallel.zero=0", false},
                  {"zero", "parallel.zero=1", false},
                  {"tensor", "parallel.tensor=2 parallel.sequence=true", false},
                  {"expert", "parallel.expert=2 parallel.zero=1", true}};
    for (const auto& mesh : meshes) {
        const std::string name = mesh.name;
        const Ended ended = emulated(
            "train c.yaml device=cuda run.name=" + name + " " + mesh.keys + (mesh.experts ? mixture : dense), 2);
        ASSERT_EQ(ended.code, 0) << name << ended.err;
        expect_near(name, mesh.experts ? "mixture" : "dense", 5e-5);
    }
    ASSERT_EQ(emulated("train c.yaml device=cuda run.name=bf16 parallel.zero=1 train.precision=bf16" + dense, 2).code,
              0)
        << text("err");
    expect_near("bf16", "dense", 0.05);
}

TEST_F(Engines, ThatCannotBeHadAreOneLine) {
    const auto expect_refused = [&](const std::string& engine, const std::string& word) {
        const Ended ended = with(engine, "train c.yaml device=cuda");
        EXPECT_EQ(ended.code, 2) << engine;
        EXPECT_TRUE(has(ended.err, word)) << ended.err;
        EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    };
    expect_refused("/nowhere/libsluice_cuda.so",
                   "cannot load the engine: there is no file /nowhere/libsluice_cuda.so, which SLUICE_ENGINE names");
    // A name without a folder is a file of the current one, and never a library of the loader's.
    expect_refused("libm.so.6", "there is no file " + (folder_ / "libm.so.6").string() + ", which SLUICE_ENGINE names");
    expect_refused("c.yaml", "cannot load the engine: " + (folder_ / "c.yaml").string() + ": ");
    fs::create_symlink(SLUICE_NO_ENGINE, folder_ / "named.so");
    expect_refused("named.so", "named.so is no engine of sluice: it lacks sluice_engine");
    expect_refused(SLUICE_NO_ENGINE, "lacks sluice_engine");
    expect_refused(SLUICE_OTHER_ENGINE,
                   std::string("is an engine of sluice 0.0.0 (commit none), and this is ") + build());
    // What kernels for GPUs cannot compute is refused before a run begins.
    for (const char* key : {"model.moe={experts: 513, top_k: 2, hidden: 8}",
                            "model.switch_heads={target: kv, experts: 2049, top_k: 2}"}) {
        const Ended ended = emulated("train c.yaml device=cuda '" + std::string(key) + "'");
        EXPECT_EQ(ended.code, 2) << ended.err;
        EXPECT_TRUE(has(ended.err, "kernels for GPUs take at most")) << ended.err;
        EXPECT_FALSE(fs::exists(folder_ / "runs"));
    }
    // `auto` goes on with the CPU, and tells once.
    const Ended ended = with("/nowhere/libsluice_cuda.so", "train c.yaml train.steps=1", 2);
    EXPECT_EQ(ended.code, 0);
    const size_t told = ended.err.find("device: cpu, since cannot load the engine");
    ASSERT_NE(told, std::string::npos) << ended.err;
    EXPECT_EQ(ended.err.find("device: cpu, since", told + 1), std::string::npos) << ended.err;
}

}  // namespace
}  // namespace sluice
