// fork and exec, as posix_spawn cannot ask for a signal at the parent's end.
#include "base/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/check.h"
#include "base/format.h"
#include "base/signals.h"

extern char** environ;

namespace sluice {
namespace {

constexpr char kSupervisor[] = "SLUICE_SUPERVISOR", kStopFile[] = "SLUICE_STOP_FILE";
constexpr int kPauseMs = 100;

// This process's environment with some variables set.
std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& variables) {
    std::vector<std::string> all;
    for (char** entry = environ; *entry; entry++) {
        const std::string text = *entry;
        const auto replaced = [&](const auto& variable) { return text.starts_with(variable.first + "="); };
        if (std::none_of(variables.begin(), variables.end(), replaced)) all.push_back(text);
    }
    for (const auto& [name, value] : variables) all.push_back(name + "=" + value);
    return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (std::string& text : texts) all.push_back(text.data());
    all.push_back(nullptr);
    return all;
}

// In the child: only calls that are safe after a fork of a process with threads. Never returns.
[[noreturn]] void become(char* const* arguments, char* const* variables, int output, int told, pid_t parent,
                         int at_parents_end) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, at_parents_end);
    const int nothing = open("/dev/null", O_RDONLY);
    const bool ready = getppid() == parent && nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 &&
                       dup2(output, STDOUT_FILENO) >= 0 && dup2(output, STDERR_FILENO) >= 0;
    if (ready) execvpe(arguments[0], arguments, variables);
    const int why = errno;
    if (write(told, &why, sizeof why) < 0) _exit(126);
    _exit(127);
}

bool is_gone(pid_t process) { return kill(process, 0) != 0 && errno == ESRCH; }

// Waits until the process has ended, or the file is there. Without a handle of the process (an older kernel) it counts
// as there while its number is in use.
void watch(pid_t supervisor, const std::string& stop) {
    const int handle = int(syscall(SYS_pidfd_open, supervisor, 0));
    pollfd ending{handle, POLLIN, 0};
    for (bool asked = false;;) {
        const bool ended = handle >= 0 ? poll(&ending, 1, kPauseMs) > 0 : is_gone(supervisor);
        if (ended) kill(getpid(), SIGKILL);
        if (!asked && !stop.empty() && access(stop.c_str(), F_OK) == 0) request_stop(), asked = true;
        if (handle < 0) std::this_thread::sleep_for(std::chrono::milliseconds(kPauseMs));
    }
}

}  // namespace

Child::Child(const std::vector<std::string>& arguments,
             const std::vector<std::pair<std::string, std::string>>& variables, const std::filesystem::path& output,
             int at_our_end) {
    std::vector<std::string> words = arguments, environment = environment_with(variables);
    const std::vector<char*> argv = pointers_to(words), envp = pointers_to(environment);
    const int file = open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0) fail(Exit::disk, output.string() + ": cannot open it: " + std::strerror(errno));
    int told[2] = {-1, -1};
    const pid_t self = getpid();
    pid_ = pipe2(told, O_CLOEXEC) == 0 ? fork() : -1;
    if (pid_ == 0) become(argv.data(), envp.data(), file, told[1], self, at_our_end);
    int why = pid_ < 0 ? errno : 0;
    close(file);
    close(told[1]);
    if (pid_ > 0 && read(told[0], &why, sizeof why) <= 0) why = 0;  // nothing is told where exec replaced the program
    close(told[0]);
    if (why == 0) return;
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
    fail(Exit::other, printable(arguments[0]) + ": cannot start it: " + std::strerror(why));
}

Child::~Child() {
    if (ended()) return;
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
}

bool Child::ended() {
    if (code_ >= 0) return true;
    int status = 0;
    const pid_t found = waitpid(pid_, &status, WNOHANG);
    if (found == 0 || (found < 0 && errno == EINTR)) return false;
    code_ = found < 0 ? 127 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    kill(-pid_, SIGKILL);  // what it left in its group
    return true;
}

std::vector<std::pair<std::string, std::string>> supervised_by_this_process(const std::filesystem::path& stop) {
    return {{kSupervisor, std::to_string(getpid())}, {kStopFile, std::filesystem::absolute(stop).string()}};
}

void obey_supervisor() {
    const char* supervisor = std::getenv(kSupervisor);
    const char* stop = std::getenv(kStopFile);
    const int process = supervisor ? std::atoi(supervisor) : 0;
    if (process <= 1) return;
    if (is_gone(process)) kill(getpid(), SIGKILL);
    std::thread([process, file = std::string(stop ? stop : "")] { watch(process, file); }).detach();
}

}  // namespace sluice
