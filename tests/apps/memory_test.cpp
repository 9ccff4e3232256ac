// Memory that does not suffice, by the command line: one line with what fits, code 8 on all ranks, and what the line
// says to do works.
#include <cmath>

#include "apps/run_folder.h"
#include "base/machine.h"
#include "config/load.h"
#include "plan/plan.h"

namespace sluice {
namespace {

class MemoryLimits : public RunFolder {
 protected:
    // Runs the program on an emulated device of so many bytes.
    Ended on_device(double bytes, const std::string& arguments, int ranks = 1) {
        setenv("SLUICE_ENGINE", SLUICE_EMULATED_ENGINE, 1);
        setenv("SLUICE_EMU_DEVICE_BYTES", std::to_string(int64_t(bytes)).c_str(), 1);
        Ended ended = run(arguments + " device=cuda", ranks);
        unsetenv("SLUICE_ENGINE");
        unsetenv("SLUICE_EMU_DEVICE_BYTES");
        return ended;
    }
    // The line of an error, alone but for what mpirun adds.
    static std::string line_of(const Ended& ended, int ranks = 1) {
        EXPECT_EQ(ended.code, 8) << ended.err;
        const size_t begin = ended.err.find("error: out of memory: "), end = ended.err.find('\n', begin);
        if (begin == std::string::npos) return ADD_FAILURE() << ended.err, "";
        EXPECT_EQ(ended.err.find("error: ", begin + 1), std::string::npos) << ended.err;
        if (ranks == 1) { EXPECT_EQ(end, ended.err.size() - 1) << ended.err; }
        return ended.err.substr(begin, end - begin);
    }
    static std::string behind(const std::string& words, const std::string& line) {
        const size_t at = line.find(words);
        return at == std::string::npos ? (ADD_FAILURE() << line, "") : line.substr(at + words.size());
    }
    // Bytes of a rank with these keys, as planned, and with what a device needs beside that.
    double planned(const std::vector<std::string>& keys, int ranks, Mode mode = Mode::training,
                   Storage storage = Storage::gpu_fp32) {
        const Config c = load_config((folder_ / "c.yaml").string(), keys, Purpose::plan, ranks).config;
        return double(plan_memory(c, mesh_coord(mesh_shape(c.model, c.parallel), ranks, 0), storage, mode).total());
    }
    double beside() {
        const std::string streams = behind("streams ", line_of(on_device(1, "train c.yaml")));
        EXPECT_EQ(streams[streams.find_first_not_of("0123456789.")], 'M') << streams;
        return std::round(std::stod(streams)) * 0x1p20;
    }
};

// Twice as many tokens do not fit.
TEST_F(MemoryLimits, OfADeviceAndWhatFitsTrains) {
    const std::string large = "train c.yaml train.steps=1 train.batch=32 train.micro_batch=32";
    const double bytes = beside() + planned({"train.batch=32", "train.micro_batch=8"}, 1);
    const std::string line = line_of(on_device(bytes, large));
    for (const char* words : {"of device memory (", "activations ", "moments ", " are free; it fits with "})
        EXPECT_TRUE(has(line, words)) << line;
    EXPECT_FALSE(fs::exists(folder_ / "runs"));  // nothing was begun
    const std::string keys = behind("it fits with ", line);
    EXPECT_EQ(keys, "train.micro_batch=8");
    EXPECT_EQ(on_device(bytes, large + " " + keys).code, 0) << text("err");
    // In bf16 masters are the optimizer's: another plan.
    EXPECT_TRUE(has(line_of(on_device(bytes - 0x1p20, large + " train.precision=bf16")), "masters "));
}

TEST_F(MemoryLimits, OfADeviceAreThoseOfThePlan) {
    const std::string keys = "c.yaml train.steps=1 train.batch=32 train.micro_batch=8 device=cuda";
    for (const char* precision : {" train.precision=fp32", " train.precision=bf16"}) {
        const Ended plan = run("plan " + keys + precision + " --json");
        ASSERT_EQ(plan.code, 0) << plan.err;
        const double total = Json::parse(plan.out)["bytes_per_rank"]["total"].get<double>();
        line_of(on_device(total - 1, "train " + keys + precision));
        EXPECT_EQ(on_device(total, "train " + keys + precision + " run.name=" + (precision + 17)).code, 0)
            << text("err");
    }
}

TEST_F(MemoryLimits, OfTheDevicesOfTwoRanks) {
    const std::string large = "train c.yaml train.steps=1 train.batch=8 train.micro_batch=4";
    const std::vector<std::string> least{"train.batch=8", "train.micro_batch=1", "parallel.zero=1",
                                         "train.recompute=block"};
    const double bytes = beside() + planned(least, 2);
    const std::string line = line_of(on_device(bytes, large, 2), 2);
    EXPECT_TRUE(has(line, "each rank needs ")) << line;
    EXPECT_TRUE(has(line, "rank 0 on " + host_name() + " has ")) << line;
    const std::string keys = behind("it fits with ", line);
    for (const char* key : {"train.micro_batch=1", "parallel.zero=1", "train.recompute=block"})
        EXPECT_TRUE(has(keys, key)) << keys;
    EXPECT_EQ(on_device(bytes, large + " " + keys, 2).code, 0) << text("err");
    // One rank has no other to share its state with.
    const std::string more =
        behind("it fits on 2 ranks that have as much each, with ", line_of(on_device(bytes, large)));
    EXPECT_EQ(on_device(bytes, large + " run.name=b " + more, 2).code, 0) << text("err");
    EXPECT_TRUE(
        has(line_of(on_device(1, large, 2), 2), "; no micro-batch, recompute, zero or mesh fits, on up to 128"));
}

TEST_F(MemoryLimits, OfADeviceThatEvaluatesSamplesAndMeasures) {
    ASSERT_EQ(run("train c.yaml model.vocab=300 train.steps=1").code, 0) << text("err");
    const double bytes =
        beside() + planned({"model.vocab=300", "train.batch=64", "train.micro_batch=8"}, 1, Mode::inference);
    const std::string evaluate = "eval runs/a --json train.batch=64 train.micro_batch=64";
    const std::string line = line_of(on_device(bytes, evaluate));
    EXPECT_FALSE(has(line, "moments")) << line;
    const std::string keys = behind("it fits with ", line);
    EXPECT_EQ(keys, "train.micro_batch=8");
    EXPECT_EQ(on_device(bytes, evaluate + " " + keys).code, 0) << text("err");
    EXPECT_EQ(on_device(bytes, evaluate, 2).code, 8);
    const std::string sample = "sample runs/a --tokens 1 data.tokenizer=bytes";
    EXPECT_TRUE(has(line_of(on_device(1e6, sample)), "; no setting needs less"));
    const std::string bench = "bench step c.yaml train.batch=64 train.micro_batch=32";
    const Ended measured = on_device(bytes, bench, 2);
    EXPECT_TRUE(has(line_of(measured, 2), "it fits with train.micro_batch="));
    EXPECT_EQ(measured.out, "");
}

TEST_F(MemoryLimits, OfThisMachineBeforeAnythingIsAllocated) {
    const std::string batch = "train.batch=1073741824";
    for (const int ranks : {1, 2}) {
        const std::string line = line_of(run("train c.yaml " + batch + " train.micro_batch=536870912", ranks), ranks);
        EXPECT_TRUE(has(line, "T of memory (activations ")) << line;
        EXPECT_EQ(has(line, "each of the 2 on " + host_name() + " has "), ranks == 2) << line;
        const std::string keys = behind("it fits with ", line);
        const double total = double(machine_memory(ranks).total);
        EXPECT_LE(planned({batch, keys}, ranks, Mode::training, Storage::cpu), total) << keys;
        const std::string key = "train.micro_batch=";
        ASSERT_EQ(keys.find(key), 0u) << keys;
        // What was free then may not be free now, but for half of it.
        const std::string twice = key + std::to_string(4 * std::stoll(keys.substr(key.size())));
        EXPECT_GT(planned({batch, twice}, ranks, Mode::training, Storage::cpu), total / 2 / ranks) << twice;
        EXPECT_FALSE(fs::exists(folder_ / "runs"));
    }
    const std::string endless = " data.sequence_length=1073741824 train.micro_batch=1073741824";
    EXPECT_TRUE(has(line_of(run("train c.yaml " + batch + endless)), "it needs more than "));
}

TEST_F(MemoryLimits, ADeviceOfNoSizeIsRefused) {
    for (const char* bytes : {"64M", "-1", "0", "much"}) {
        setenv("SLUICE_ENGINE", SLUICE_EMULATED_ENGINE, 1);
        setenv("SLUICE_EMU_DEVICE_BYTES", bytes, 1);
        const Ended ended = run("train c.yaml device=cuda");
        unsetenv("SLUICE_ENGINE");
        unsetenv("SLUICE_EMU_DEVICE_BYTES");
        EXPECT_EQ(ended.code, 2) << ended.err;
        EXPECT_EQ(ended.err.find("error: SLUICE_EMU_DEVICE_BYTES: "), 0u) << ended.err;
    }
}

}  // namespace
}  // namespace sluice
