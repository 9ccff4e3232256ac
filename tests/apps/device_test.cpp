// `device: auto | cuda` on machines with every kind of driver: the same program, with a driver made for tests.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "apps/run_folder.h"
#include "base/json.h"
#include "base/version.h"
#include "engine/driver.h"

namespace sluice {
namespace {

const std::string kTrain =
    "train c.yaml train.steps=1 train.batch=6 schedule.warmup_steps=0 'data.validation=[]' checkpoint.every=0 ";

class Devices : public RunFolder {
 protected:
    Devices() { unsetenv("CUDA_VISIBLE_DEVICES"); }  // tests hide GPUs
    // Runs the program on a machine with a driver that answers so, and an engine that is built with CUDA 13.0.
    Ended on(const std::string& driver, const std::string& arguments, int ranks = 1,
             const char* engine = SLUICE_DRIVEN_ENGINE) {
        const std::map<std::string, std::string> variables{
            {"SLUICE_ENGINE", engine}, {"LD_LIBRARY_PATH", SLUICE_TEST_DRIVERS}, {"SLUICE_TEST_DRIVER", driver}};
        for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
        Ended ended = run(arguments, ranks);
        for (const auto& [name, value] : variables) unsetenv(name.c_str());
        return ended;
    }
    // The program's own lines on stderr: mpirun adds some where a rank fails.
    static std::vector<std::string> told(const Ended& ended) {
        std::vector<std::string> lines;
        std::istringstream text(ended.err);
        for (std::string line; std::getline(text, line);)
            if (line.starts_with("error: ") || line.starts_with("warning: ")) lines.push_back(line);
        return lines;
    }

    // `cuda` is refused in one line with these words; `auto` tells them in one, and trains on the CPU.
    void expect_told(const std::string& driver, const std::vector<std::string>& words, int ranks = 1) {
        const Ended refused = on(driver, kTrain + "device=cuda", ranks), on_cpu = on(driver, kTrain, ranks);
        EXPECT_EQ(refused.code, 2) << driver << refused.err;
        EXPECT_TRUE(has(refused.err, "error: device: cuda: ")) << refused.err;
        EXPECT_FALSE(has(refused.out, "step 1/1")) << driver;
        EXPECT_EQ(on_cpu.code, 0) << driver << on_cpu.err;
        EXPECT_TRUE(has(on_cpu.err, "warning: device: cpu, since ")) << on_cpu.err;
        EXPECT_TRUE(has(on_cpu.out, "step 1/1") && !has(on_cpu.out, "emulated GPU")) << on_cpu.out;
        for (const Ended& ended : {refused, on_cpu}) {
            EXPECT_EQ(told(ended).size(), 1u) << driver << ended.err;
            for (const std::string& word : words) EXPECT_TRUE(has(ended.err, word)) << word << ": " << ended.err;
        }
        std::filesystem::remove_all(folder_ / "runs");
    }
};

TEST_F(Devices, ADriverAndAGpuAreUsedUntold) {
    const Ended ended = on("count=2 version=13010", kTrain);
    EXPECT_EQ(ended.code, 0) << ended.err;
    EXPECT_EQ(ended.err, "");
    EXPECT_TRUE(has(ended.out, "device cuda: Test GPU A (GPU 0 of 2), driver for CUDA 13.1\n")) << ended.out;
    EXPECT_TRUE(has(ended.out, "| an emulated GPU, ")) << ended.out;
    // Any driver of the engine's major release will do.
    EXPECT_TRUE(has(on("version=13000", kTrain + "run.name=b").out, "driver for CUDA 13.0\n"));
    // `cpu` asks nobody.
    const Ended cpu = on("init=999", kTrain + "run.name=c device=cpu");
    EXPECT_EQ(cpu.code, 0);
    EXPECT_EQ(cpu.err, "");
    EXPECT_FALSE(has(cpu.out, "device c")) << cpu.out;
}

TEST_F(Devices, WhatIsAmissWithADriverIsOneLine) {
    expect_told("version=12040", {"for CUDA 12.4, and the engine needs 13.0: install driver release 580 or later"});
    expect_told("count=0", {"the driver finds no GPU", "CUDA_ERROR_NO_DEVICE, error 100 of the driver"});
    expect_told("init=100", {"the driver finds no GPU"});
    expect_told("init=800", {"no permission to use the GPU", "CUDA_ERROR_NOT_PERMITTED, error 800"});
    expect_told("init=803", {"libcuda.so.1 does not fit the kernel's driver", "restart the machine"});
    expect_told("init=999", {"CUDA_ERROR_UNKNOWN, error 999 of the driver"});
    setenv("CUDA_VISIBLE_DEVICES", "7", 1);
    expect_told("init=100", {"CUDA_VISIBLE_DEVICES='7' leaves the driver no GPU: unset it"});
    unsetenv("CUDA_VISIBLE_DEVICES");
}

TEST_F(Devices, AGpuThatIsTooOldIsNamed) {
    expect_told("capability=75", {"Test GPU A is sm_75, and the engine needs sm_80 (A100) or later"});
    EXPECT_EQ(on("capability=80", kTrain + "device=cuda").code, 0);
    // Beside one that is not, it is left alone.
    const Ended ended = on("count=2 capability=75", kTrain + "run.name=b");
    EXPECT_TRUE(has(ended.err, "GPU 1 cannot be used: invalid device ordinal")) << ended.err << ended.out;
}

TEST_F(Devices, RanksShareAGpuOnlyWhereThatIsAskedFor) {
    expect_told("count=1", {"2 ranks of a host have 1 GPU: start at most one rank a GPU", "communicator=staged"}, 2);
    expect_told("count=2", {"3 ranks of a host have 2 GPUs: "}, 3);
    const Ended shared = on("count=1", kTrain + "device=cuda parallel.communicator=staged", 2);
    EXPECT_EQ(shared.code, 0) << shared.err;
    EXPECT_TRUE(has(shared.out, "| an emulated GPU, ")) << shared.out;
    // Each rank has the one of its number: rank 1 the second, which this emulator has not, or has.
    const Ended missing = on("count=2", kTrain + "run.name=b device=cuda", 2);
    EXPECT_EQ(missing.code, 2);
    EXPECT_EQ(told(missing), std::vector<std::string>{"error: GPU 1 cannot be used: invalid device ordinal: see what "
                                                      "nvidia-smi says"});
    setenv("SLUICE_EMU_DEVICES", "2", 1);
    EXPECT_EQ(on("count=2", kTrain + "run.name=b device=cuda", 2).code, 0) << text("err");
    unsetenv("SLUICE_EMU_DEVICES");
    // The emulator's NCCL is one process's: ranks of several pass through the host, and say so, or end.
    setenv("SLUICE_EMU_DEVICES", "2", 1);
    const Ended staged = on("count=2", kTrain + "run.name=d device=cuda", 2);
    const Ended nccl = on("count=2", kTrain + "run.name=e device=cuda parallel.communicator=nccl", 2);
    unsetenv("SLUICE_EMU_DEVICES");
    const std::string why = "the emulator has NCCL between threads of one process alone";
    EXPECT_EQ(told(staged), std::vector<std::string>{"warning: parallel.communicator: staged, since " + why});
    EXPECT_EQ(nccl.code, 2);
    EXPECT_EQ(told(nccl), std::vector<std::string>{"error: parallel.communicator: nccl: " + why});
    // Where a launcher shows each rank a GPU of its own, all are number 0.
    EXPECT_EQ(on("own=1", kTrain + "run.name=c device=cuda", 2).code, 0) << text("err");
}

// What one rank lacks, all lack: they train together.
TEST_F(Devices, AllRanksTakeTheCpuWhereOneHasNoGpu) {
    const auto command = [&](const std::string& keys) {
        const std::string rank = std::string(" -n 1 -x LD_LIBRARY_PATH='" SLUICE_TEST_DRIVERS "' -x SLUICE_ENGINE='") +
                                 SLUICE_DRIVEN_ENGINE "' -x SLUICE_TEST_DRIVER=";
        const std::string program = " '" SLUICE_PROGRAM "' " + kTrain + keys;
        const std::string all = "cd '" + folder_.path().string() + "' && mpirun" + rank + "count=2" + program + " :" +
                                rank + "init=800" + program + " >out 2>err";
        const int status = std::system(all.c_str());
        return Ended{WEXITSTATUS(status), text("out"), text("err")};
    };
    const Ended on_cpu = command("");
    EXPECT_EQ(on_cpu.code, 0) << on_cpu.err;
    EXPECT_FALSE(has(on_cpu.out, "GPU")) << on_cpu.out;
    ASSERT_EQ(told(on_cpu).size(), 1u) << on_cpu.err;
    EXPECT_TRUE(told(on_cpu)[0].starts_with("warning: device: cpu, since on ")) << on_cpu.err;
    EXPECT_TRUE(has(on_cpu.err, ": no permission to use the GPU")) << on_cpu.err;
    const Ended refused = command("device=cuda");
    EXPECT_EQ(refused.code, 2);
    ASSERT_EQ(told(refused).size(), 1u) << refused.err;
    EXPECT_TRUE(has(told(refused)[0], "error: device: cuda: no permission to use the GPU")) << refused.err;
}

TEST_F(Devices, MemoryThatOthersHaveIsTold) {
    setenv("SLUICE_EMU_DEVICE_BYTES", "200000000", 1);
    setenv("SLUICE_EMU_TAKEN_BYTES", "150000000", 1);
    const Ended ended = on("", kTrain);
    EXPECT_EQ(ended.code, 8) << ended.err;
    EXPECT_TRUE(has(ended.err, "47.7M of 191M are free, as others have 143M (nvidia-smi lists them)")) << ended.err;
    EXPECT_EQ(told(ended).size(), 1u) << ended.err;
    setenv("SLUICE_EMU_TAKEN_BYTES", "200000000", 1);
    const Ended none = on("", kTrain);
    EXPECT_EQ(none.code, 8);
    EXPECT_TRUE(has(none.err,
                    "out of memory: other programs have all of GPU 0's: end those that nvidia-smi lists, or name "
                    "another GPU by CUDA_VISIBLE_DEVICES"))
        << none.err;
    unsetenv("SLUICE_EMU_DEVICE_BYTES");
    unsetenv("SLUICE_EMU_TAKEN_BYTES");
}

TEST_F(Devices, ALibraryThatIsMissingIsNamed) {
    const Ended ended = on("", kTrain + "device=cuda", 1, SLUICE_NEEDY_ENGINE);
    EXPECT_EQ(ended.code, 2);
    EXPECT_TRUE(has(ended.err,
                    "the engine needs libcudnn_of_tests.so.9, which is not found: install it, or add its folder to "
                    "LD_LIBRARY_PATH"))
        << ended.err;
    EXPECT_EQ(told(ended).size(), 1u);
}

// Without a driver (a library that is none stands before the system's).
TEST_F(Devices, ADriverThatDoesNotLoadIsTold) {
    std::filesystem::create_directory(folder_ / "driver");
    std::ofstream(folder_ / "driver/libcuda.so.1") << "no library";
    const std::string prefix = "LD_LIBRARY_PATH='" + (folder_ / "driver").string() + "' '" SLUICE_PROGRAM "' ";
    const std::string command = "cd '" + folder_.path().string() + "' && " + prefix + kTrain + ">out 2>err";
    EXPECT_EQ(std::system(command.c_str()), 0) << text("err");
    EXPECT_TRUE(has(text("err"), "warning: device: cpu, since the GPU driver does not load: ")) << text("err");
}

TEST_F(Devices, WithoutADriverTheReasonIsALine) {
    if (driver().installed) GTEST_SKIP() << "this machine has a driver";
    const Ended ended = run(kTrain);
    EXPECT_EQ(ended.code, 0);
    EXPECT_EQ(ended.err, "");
    EXPECT_TRUE(has(ended.out, "device cpu: no GPU driver is installed\n")) << ended.out;
    const Ended refused = run(kTrain + "device=cuda");
    EXPECT_EQ(refused.code, 2);
    EXPECT_TRUE(has(refused.err,
                    "error: device: cuda: no GPU driver (libcuda.so.1) is installed: install NVIDIA's, "
                    "release 580 or later; or compute with device: cpu\n"))
        << refused.err;
}

TEST_F(Devices, WhoHidesAllGpusIsNotWarned) {
    for (const char* none : {"", "-1"}) {
        setenv("CUDA_VISIBLE_DEVICES", none, 1);
        const Ended ended = on("", kTrain, 1, ""), refused = on("", kTrain + "device=cuda", 1, "");
        unsetenv("CUDA_VISIBLE_DEVICES");
        EXPECT_EQ(ended.code, 0);
        EXPECT_EQ(ended.err, "");
        EXPECT_TRUE(has(ended.out, "device cpu: CUDA_VISIBLE_DEVICES hides all GPUs\n")) << ended.out;
        EXPECT_EQ(refused.code, 2);
        EXPECT_TRUE(has(refused.err, "error: device: cuda: CUDA_VISIBLE_DEVICES hides all GPUs: unset it"))
            << refused.err;
        fs::remove_all(folder_ / "runs");
    }
}

TEST_F(Devices, FilesOfTheDriverThatNobodyMayOpenAreNamed) {
    const std::string missing = driver_error(999, "CUDA_ERROR_UNKNOWN", folder_ / "dev");
    EXPECT_TRUE(has(missing, "there is no ") && has(missing, "--gpus all")) << missing;
    std::ofstream(folder_ / "nvidiactl") << "";
    EXPECT_EQ(driver_error(999, "CUDA_ERROR_UNKNOWN", folder_.path()),
              "the driver fails (CUDA_ERROR_UNKNOWN, error 999 of the driver): see what nvidia-smi says");
    std::filesystem::permissions(folder_ / "nvidiactl", std::filesystem::perms::none);
    std::filesystem::permissions(folder_.path(), std::filesystem::perms::all);
    const bool root = geteuid() == 0;
    if (root && seteuid(65534) != 0) GTEST_SKIP() << "root opens everything";
    const std::string refused = driver_error(999, "CUDA_ERROR_UNKNOWN", folder_.path());
    if (root) { EXPECT_EQ(seteuid(0), 0); }
    EXPECT_TRUE(has(refused, "no permission to open " + (folder_ / "nvidiactl").string())) << refused;
}

TEST_F(Devices, TheVersionNamesEnginesLibrariesAndDriver) {
    const Ended ended = on("count=2 version=13010 capability=86", "--version");
    EXPECT_EQ(ended.code, 0);
    std::istringstream text(ended.out);
    std::vector<std::string> rows;
    for (std::string row; std::getline(text, row);) rows.push_back(row);
    ASSERT_EQ(rows.size(), 6u) << ended.out;
    EXPECT_EQ(rows[0], std::string("sluice ") + version() + " (commit " + commit() + ")");
    EXPECT_TRUE(rows[1].starts_with("engine cpu: oneDNN ") && has(rows[1], ", BLIS ")) << rows[1];
    EXPECT_EQ(rows[2], "engine cuda: " SLUICE_DRIVEN_ENGINE ", kernels for GPUs, emulated on the host");
    EXPECT_EQ(rows[3], "driver: for CUDA 13.1");
    EXPECT_EQ(rows[4], "GPU 0: Test GPU A, sm_86");
    EXPECT_EQ(rows[5], "GPU 1: Test GPU B, sm_90");
    EXPECT_TRUE(has(on("init=800 version=12040", "--version").out, "driver: for CUDA 12.4; no permission to use"));
    EXPECT_TRUE(has(on("", "--version", 1, "").out, "engine cuda: "));
}

// The engine for GPUs itself, where it is built: here it loads, and there it would find what the driver has.
TEST_F(Devices, TheEngineForGpusLoads) {
#ifndef SLUICE_BUILDS_CUDA
    GTEST_SKIP() << "built without CUDA";
#endif
    const Ended version = on("", "--version", 1, "");
    EXPECT_TRUE(has(version.out, "/libsluice_cuda.so, CUDA 1") && has(version.out, ", NCCL 2.")) << version.out;
    const Ended old = on("version=12080", kTrain + "device=cuda", 1, "");
    EXPECT_EQ(old.code, 2);
    EXPECT_TRUE(has(old.err, "the GPU driver is for CUDA 12.8, and the engine needs 1")) << old.err;
    const Ended no_gpu = on("count=0", kTrain, 1, "");
    EXPECT_EQ(no_gpu.code, 0);
    EXPECT_TRUE(has(no_gpu.err, "device: cpu, since the driver finds no GPU")) << no_gpu.err;
}

TEST_F(Devices, BenchTellsClocksAndPower) {
    const std::string bench = "bench step c.yaml train.batch=6 device=cuda";
    const Ended json = on("count=1", bench + " --json"), text = on("count=1", bench);
    ASSERT_EQ(json.code, 0) << json.err;
    const Json measured = parse_json(json.out);
    EXPECT_EQ(measured["gpu"],
              (Json{{"clock_mhz", 1755}, {"most_clock_mhz", 1980}, {"watts", 612.5}, {"celsius", 58}}));
    EXPECT_FALSE(measured.contains("mfu"));  // no data sheet has this GPU
    EXPECT_TRUE(has(text.out, "the first rank's GPU after the steps: 1755 of 1980 MHz, 612 W, 58 C\n")) << text.out;
    const Ended other = on("count=1 own=1", bench + " --json");  // a GPU that the library does not know
    EXPECT_FALSE(parse_json(other.out).contains("gpu")) << other.out;
}

// Three points of two ranks at once would need six GPUs.
TEST_F(Devices, PointsOfASweepHaveGpusOfTheirOwn) {
    std::ofstream(folder_ / "s.yaml") << R"(sweep: {name: s, ranks: 2, parallel: 3}
base: c.yaml
set: [train.steps=1, train.batch=6, schedule.warmup_steps=0, 'data.validation=[]', checkpoint.every=0]
seeds: [1, 2, 3]
)";
    setenv("SLUICE_EMU_DEVICES", "2", 1);
    setenv("CUDA_VISIBLE_DEVICES", "6,1,4,2,7", 1);
    const Ended ended = on("count=8", "sweep s.yaml");
    unsetenv("CUDA_VISIBLE_DEVICES");
    unsetenv("SLUICE_EMU_DEVICES");
    EXPECT_EQ(ended.code, 0) << ended.err << ended.out;
    EXPECT_TRUE(has(ended.out, "2 points at once: 5 GPUs for 2 ranks a point\n")) << ended.out;
    std::set<std::string> used;
    for (const char* seed : {"1", "2", "3"}) {
        const std::string console = text(std::string("runs/s/points/base/seed-") + seed + "/console.txt");
        const size_t at = console.find("device cuda: Test GPU ");
        ASSERT_NE(at, console.npos) << console;
        used.insert(console.substr(at + 22, 1));
        EXPECT_TRUE(has(console, "(GPU 0 of 2)")) << console;
    }
    EXPECT_EQ(used, (std::set<std::string>{"G", "E"})) << "those at 6 and 4 are the first of each two";
}

}  // namespace
}  // namespace sluice
