// Programs that this one starts and watches over, from both sides.
#pragma once
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

// A program in a process group of its own, which signals from a terminal do not reach, with stdin empty and stdout and
// stderr appended to a file.
class Child {
 public:
    // arguments[0] is the program, looked up in PATH. at_our_end: the signal that it gets from the system when this
    // process ends in whatever way. Call from a thread that lives as long as the process. Errors:
    // Failure(Exit::other) where the program, Failure(Exit::disk) where the file cannot be opened.
    Child(const std::vector<std::string>& arguments, const std::vector<std::pair<std::string, std::string>>& variables,
          const std::filesystem::path& output, int at_our_end);
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child();  // kills what still runs

    pid_t pid() const { return pid_; }
    bool ended();                       // true from when it has ended
    int code() const { return code_; }  // once it has: its exit code, or 128 and the number of the signal that ended it

 private:
    pid_t pid_;
    int code_ = -1;
};

// The variables by which a run, and every rank that mpirun starts of it on this machine, knows who watches over it. It
// ends at once when this process does, and stops with a checkpoint when the file `stop` is there.
std::vector<std::pair<std::string, std::string>> supervised_by_this_process(const std::filesystem::path& stop);

// In the program that was started: does so from now on, where these variables are set.
void obey_supervisor();

}  // namespace sluice
