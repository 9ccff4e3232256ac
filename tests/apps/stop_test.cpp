// Runs that are stopped: by any signal, at any moment, through scripts/launch, again and again.
#include <csignal>
#include <cstdlib>
#include <thread>

#include "apps/program.h"
#include "support/sanitizers.h"

namespace sluice {
namespace {

class Stopped : public Program {
 protected:
    // scripts/launch as a process group of its own, in the test's folder.
    void launch(const std::string& arguments) {
        fs::remove(folder_ / "out");
        launched_ = fork();
        if (launched_ != 0) return;
        setsid();
        fs::current_path(folder_.path());
        if (!freopen("out", "w", stdout) || !freopen("err", "w", stderr)) _exit(127);
        setenv("SLUICE", SLUICE_PROGRAM, 1);
        execlp("bash", "bash", "-c", ("exec '" SLUICE_SOURCE_DIR "/scripts/launch' 2 " + arguments).c_str(), nullptr);
        _exit(127);
    }
    void wait_for(const std::string& line) {
        for (int i = 0; i < 5000 && text("out").find(line) == std::string::npos; i++)
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    // Until the script has set its traps, and so starts mpirun, a signal ends it as it ends any program.
    void wait_for_mpirun() {
        const std::string mpirun = "pgrep -x -P " + std::to_string(launched_) + " 'setsid|mpirun|orterun' >/dev/null";
        for (int i = 0; i < 1000 && std::system(mpirun.c_str()) != 0; i++)
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    // A signal to the whole group, as a terminal sends it; how the script ended.
    int stop(int signal) {
        kill(-launched_, signal);
        int status = 0;
        for (int i = 0; i < 3000; i++) {
            if (waitpid(launched_, &status, WNOHANG) == launched_)
                return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        kill(-launched_, SIGKILL);
        waitpid(launched_, &status, 0);
        return -1;
    }
    pid_t launched_ = 0;
};

// Products as large as those in which oneDNN's stack lies in the heap; a course that does not hang on its length.
const std::string kWide =
    "train c.yaml parallel.tensor=2 model.hidden=128 model.ffn.hidden=512 model.vocab=1024 "
    "data.sequence_length=64 schedule.kind=constant schedule.warmup_steps=0 "
    "optimizer.lr=0.001 checkpoint.every=0 checkpoint.allow_change=true ";

TEST_F(Stopped, EveryTimeGives75AndEveryBit) {
    const std::string arguments = kWide.substr(6);
    for (int stops = 0; stops < (kSanitized ? 5 : 20); stops++) {
        launch(arguments + "train.steps=100000");
        wait_for(" | loss ");
        const int code = stop(SIGTERM);
        ASSERT_EQ(code, 75) << "stop " << stops << "\n" << text("err");
    }
    const int64_t last = newest_step("a") + 2;
    const std::string steps = "train.steps=" + std::to_string(last);
    ASSERT_EQ(run(kWide + steps, 2).code, 0);
    ASSERT_EQ(run(kWide + steps + " run.name=whole", 2).code, 0);
    EXPECT_EQ(digest("a", last), digest("whole", last));
}

TEST_F(Stopped, AnySignalToTheGroupAtAnyMomentEndsWith75) {
    int moment = 0;
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1}) {
        const std::string name = "s" + std::to_string(signal);
        launch("c.yaml train.steps=1000000 run.name=" + name);
        wait_for_mpirun();
        std::this_thread::sleep_for(std::chrono::milliseconds(200 * moment++));  // the ranks start up
        EXPECT_EQ(stop(signal), 75) << strsignal(signal) << "\n" << text("err");
        EXPECT_GE(newest_step(name), 1) << strsignal(signal);
    }
}

TEST_F(Stopped, ALaunchThatFailsKeepsItsCode) {
    launch("c.yaml model.hiden=3");
    EXPECT_EQ(stop(0), 2) << text("err");
    launch("nowhere.yaml");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    EXPECT_EQ(stop(SIGTERM), 2) << "the signal came to a run that had failed";
}

// Commands of a shell, with $sluice and $data for the programs.
class Shell : public Program {
 protected:
    int shell(const std::string& commands) {
        std::ofstream(folder_ / "commands") << "cd '" + folder_.path().string() + "'\n"
                                            << "sluice='" SLUICE_PROGRAM "' data='" SLUICE_DATA_PROGRAM "'\n"
                                            << commands << "\n";
        return WEXITSTATUS(std::system(("bash '" + (folder_ / "commands").string() + "'").c_str()));
    }
};

TEST_F(Shell, ARunWithoutALauncherStopsByAHangUp) {
    EXPECT_EQ(shell("\"$sluice\" train c.yaml train.steps=1000000 >out 2>err & run=$!\n"
                    "until grep -q 'step 3/' out; do sleep 0.02; done\n"
                    "kill -HUP $run; wait $run"),
              75);
}

TEST_F(Shell, EveryCommandEndsWith5WhenStdoutTakesNoResult) {
    ASSERT_EQ(run("train c.yaml model.vocab=300").code, 0);
    for (const std::string command :
         {"$sluice eval runs/a", "$sluice eval runs/a --json", "$sluice plan c.yaml", "$sluice plan c.yaml --json",
          "$sluice config c.yaml", "$sluice config c.yaml --json", "$sluice config --reference",
          "$sluice bench step c.yaml --json", "$sluice --help", "$sluice --version", "$sluice eval --help",
          "$sluice sample runs/a data.tokenizer=bytes --tokens 3", "$data inspect train.bin",
          "$data inspect train.bin --json", "$data --help", "$data tokenize c.yaml --out shards --replace",
          "$data train-tokenizer c.yaml --vocab 400 --out m.model"})
        for (const std::string full : {">/dev/full", ">&-", "| true; exit ${PIPESTATUS[0]}"}) {
            const std::string late = full[0] == '|' ? "(sleep 0.2; exec " + command + ")" : command;
            EXPECT_EQ(shell(late + " 2>err " + full), 5) << command << full << text("err");
            EXPECT_NE(text("err").find("error: stdout"), std::string::npos) << command << text("err");
        }
}

TEST_F(Shell, ARunGoesOnWithoutItsConsole) {
    for (const std::string gone : {">/dev/full", ">&-", "| true; exit ${PIPESTATUS[0]}"}) {
        const std::string name = "n" + std::to_string(gone.size());
        EXPECT_EQ(shell("\"$sluice\" train c.yaml run.name=" + name + " 2>err " + gone), 0) << gone << text("err");
        EXPECT_EQ(course(name).size(), 12u) << gone;
        EXPECT_NE(text("runs/" + name + "/log.txt").find("step 12/12"), std::string::npos) << gone;
    }
}

}  // namespace
}  // namespace sluice
