// Which signals stop a process at once, which ask for a checkpoint, and what a child gets to see of it.
#include "base/signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace sluice {
namespace {

// Runs body in a child that receives signals on one thread; how it ended.
template <class F>
int ended(F body) {
    const pid_t child = fork();
    if (child == 0) {
        receive_signals_on_one_thread();
        body();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
}

bool stops_within_10_s() {
    for (int i = 0; i < 1000 && !stop_requested(); i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return stop_requested();
}

TEST(Signals, EndTheProcessUntilCheckpointsAreWanted) {
    for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGUSR1}) {
        const int status = ended([&] {
            kill(getpid(), number);
            std::this_thread::sleep_for(std::chrono::seconds(20));
        });
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == number) << number;
    }
}

TEST(Signals, AskForACheckpointAndASecondTermEndsTheProcess) {
    for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGUSR1}) {
        const int status = ended([&] {
            stop_with_checkpoint();
            if (stop_requested()) _exit(1);
            kill(getpid(), number);
            if (!stops_within_10_s()) _exit(2);
            kill(getpid(), SIGUSR1);  // any number of these
            kill(getpid(), SIGHUP);
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            kill(getpid(), SIGTERM);
            std::this_thread::sleep_for(std::chrono::seconds(20));
        });
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << number << " " << status;
    }
}

// A launcher that holds it back may send it before the program knows what to do with it.
TEST(Signals, OneThatWasHeldBackAtTheStartWaitsToBeAskedFor) {
    sigset_t held, before;
    sigemptyset(&held);
    sigaddset(&held, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &held, &before);
    const int status = ended([] {
        kill(getpid(), SIGUSR1);
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        stop_with_checkpoint();
        _exit(stops_within_10_s() ? 0 : 4);
    });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(Signals, AHangUpThatIsIgnoredStaysSo) {
    const int status = ended([] {
        std::signal(SIGHUP, SIG_IGN);  // as nohup does before it starts a program
        if (const pid_t program = fork(); program == 0) {
            receive_signals_on_one_thread();
            stop_with_checkpoint();
            kill(getpid(), SIGHUP);
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
            _exit(stop_requested() ? 3 : 0);
        } else {
            int code = 0;
            waitpid(program, &code, 0);
            _exit(WEXITSTATUS(code));
        }
    });
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Signals, ThreadsBlockWhatChildrenGetBack) {
    const int status = ended([] {
        sigset_t mask;
        pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        for (const int number : {SIGTERM, SIGALRM, SIGPROF, SIGCHLD, SIGUSR2})
            if (!sigismember(&mask, number)) _exit(1);
        for (const int number : {SIGSEGV, SIGFPE, SIGABRT})
            if (sigismember(&mask, number)) _exit(2);
        if (const pid_t child = fork(); child == 0) {
            pthread_sigmask(SIG_SETMASK, nullptr, &mask);
            _exit(sigismember(&mask, SIGTERM) || sigismember(&mask, SIGALRM) ? 3 : 0);
        } else {
            int code = 0;
            waitpid(child, &code, 0);
            _exit(WEXITSTATUS(code));
        }
    });
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace sluice
