// How much memory there is: of the machine, and what control groups leave of it, in trees of files as Linux has them.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include "base/machine.h"
#include "support/folder.h"
#include "support/sanitizers.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMiB = size_t{1} << 20;

class MachineMemoryTest : public testing::Test {
 protected:
    MachineMemoryTest() {
        write("proc/meminfo",
              "MemTotal:        1024000 kB\nMemFree:          100000 kB\nMemAvailable:     512000 kB\n"
              "SwapCached:            7 kB\nSwapTotal:        204800 kB\n");
    }
    void write(const std::string& file, const std::string& text) {
        fs::create_directories((root_ / file).parent_path());
        std::ofstream(root_ / file) << text;
    }
    void expect(size_t total, size_t free, int processes = 1) {
        const MachineMemory memory = machine_memory(processes, root_.path());
        EXPECT_EQ(memory.total, total * kMiB);
        EXPECT_EQ(memory.free, free * kMiB);
        EXPECT_EQ(memory.limit, total * kMiB);
    }
    Folder root_;
};

TEST_F(MachineMemoryTest, IsMemoryAndSwapDividedAmongProcesses) {
    expect(1200, 500);
    expect(300, 125, 4);
}

TEST_F(MachineMemoryTest, AGroupOrOneAboveItLimits) {
    write("proc/self/cgroup", "0::/jobs/7/rank\n");
    const std::string group = "sys/fs/cgroup/jobs/7/";
    write(group + "memory.max", "max\n");
    write(group + "memory.current", "419430400\n");  // 400 MiB
    expect(1200, 500);
    write(group + "memory.max", "629145600\n");  // 600 MiB
    expect(800, 200);
    write(group + "memory.swap.max", "0\n");
    expect(600, 200);
    write(group + "memory.stat", "anon 300\ninactive_file 104857600\nactive_file 5\n");  // 100 MiB make room
    expect(600, 300);
    write("sys/fs/cgroup/jobs/memory.max", "104857600\n");
    write("sys/fs/cgroup/jobs/memory.current", "209715200\n");  // more than its limit
    expect(300, 0);
}

TEST_F(MachineMemoryTest, TheFirstVersionOfGroupsLimitsToo) {
    write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/container/77\n0::/\n");
    const std::string files = "sys/fs/cgroup/memory/";  // within the container its group is the root
    write(files + "memory.limit_in_bytes", "9223372036854771712\n");
    expect(1200, 500);
    write(files + "memory.limit_in_bytes", "629145600\n");
    write(files + "memory.usage_in_bytes", "419430400\n");
    write(files + "memory.stat", "inactive_file 7\ntotal_inactive_file 104857600\n");
    expect(800, 300);
    write(files + "memory.memsw.limit_in_bytes", "734003200\n");  // 700 MiB
    expect(700, 300);
}

TEST_F(MachineMemoryTest, WhatCannotBeReadLimitsNothing) {
    write("proc/self/cgroup", "0::/../..\nmemory\n4:memory\n");
    write("sys/fs/cgroup/memory.max", "nonsense\n");
    expect(1200, 500);
    EXPECT_GT(machine_memory(1, root_ / "nowhere").limit, size_t{1} << 50);
}

TEST(MachineMemory, OfThisMachineIsWhatSystemCallsSay) {
    const MachineMemory memory = machine_memory();
    EXPECT_GT(memory.free, 0u);
    EXPECT_LE(memory.free, memory.total);
    EXPECT_LE(memory.free, size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE)));
}

TEST(MachineMemory, AnAddressSpaceThatIsLimitedLimits) {
    if (kSanitized) GTEST_SKIP() << "the sanitizer's own address space is above any limit";
    rlimit before;
    ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const size_t in_use = pages * size_t(sysconf(_SC_PAGESIZE)), more = 300 * kMiB;
    const rlimit limited{in_use + more, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_AS, &limited), 0);
    const MachineMemory memory = machine_memory(2);  // each process has it: it is not divided
    setrlimit(RLIMIT_AS, &before);
    const MachineMemory all = machine_memory(2);
    EXPECT_EQ(memory.total, std::min(all.total, in_use + more));
    EXPECT_LE(memory.limit, more);
    EXPECT_LE(memory.free, more);
}

}  // namespace
}  // namespace sluice
