// Programs that this one starts: how they end, what they print, and that they do not outlive it.
#include "base/child.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/check.h"
#include "support/folder.h"

namespace sluice {
namespace {

int code_of(Child& child) {
    while (!child.ended()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_TRUE(child.ended());
    return child.code();
}
std::string text_of(const std::filesystem::path& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
}

TEST(Child, TellsHowItEndedAndKeepsWhatItPrinted) {
    const Folder folder;
    const auto out = folder / "out";
    Child first({"sh", "-c", "echo $A$HOME; echo b >&2; read x || echo empty; exit 7"}, {{"A", "a b"}, {"HOME", ""}},
                out, SIGKILL);
    EXPECT_EQ(code_of(first), 7);
    EXPECT_EQ(text_of(out), "a b\nb\nempty\n");
    Child second({"sh", "-c", "echo more; kill -9 $$"}, {}, out, SIGKILL);
    EXPECT_EQ(code_of(second), 128 + SIGKILL);
    EXPECT_EQ(text_of(out), "a b\nb\nempty\nmore\n");
    Child third({"sh", "-c", "test $(ps -o pgid= -p $$) = $$"}, {}, out, SIGKILL);
    EXPECT_EQ(code_of(third), 0) << "a process group of its own";
}

TEST(Child, ErrorsNameWhatCannotBeStarted) {
    const Folder folder;
    try {
        Child({"no-such-program"}, {}, folder / "out", SIGKILL);
        FAIL();
    } catch (const Failure& f) {
        EXPECT_EQ(f.what(), std::string("no-such-program: cannot start it: No such file or directory"));
    }
    try {
        Child({"sh"}, {}, folder / "nowhere/out", SIGKILL);
        FAIL();
    } catch (const Failure& f) { EXPECT_EQ(f.code(), Exit::disk); }
}

TEST(Child, GoesWithItsObject) {
    const Folder folder;
    pid_t process = 0;
    {
        Child child({"sleep", "1000"}, {}, folder / "out", SIGKILL);
        process = child.pid();
        EXPECT_EQ(kill(process, 0), 0);
    }
    EXPECT_NE(kill(process, 0), 0);
}

// The parent is killed; a process that was orphaned belongs to init, which may not reap it: only whether it runs
// counts.
TEST(Child, EndsWithTheProcessThatStartedIt) {
    const Folder folder;
    int told[2];
    ASSERT_EQ(pipe(told), 0);
    const pid_t parent = fork();
    if (parent == 0) {
        Child child({"sleep", "1000"}, {}, folder / "out", SIGKILL);
        const pid_t process = child.pid();
        if (write(told[1], &process, sizeof process) < 0) _exit(1);
        pause();
        _exit(0);
    }
    pid_t process = 0;
    ASSERT_EQ(read(told[0], &process, sizeof process), ssize_t(sizeof process));
    kill(parent, SIGKILL);
    waitpid(parent, nullptr, 0);
    const auto runs = [&] {
        std::ifstream in("/proc/" + std::to_string(process) + "/stat");
        std::string number, name, state;
        return in >> number >> name >> state && state != "Z";
    };
    for (int i = 0; i < 1000 && runs(); i++) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_FALSE(runs());
    close(told[0]);
    close(told[1]);
}

}  // namespace
}  // namespace sluice
