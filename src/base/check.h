// Errors. A Failure carries the program's exit code and a message of one line: what is wrong, where, and what to do.
// check() is for what can only be a bug of this program, fail() for errors of the user's input or of the machine.
#pragma once
#include <source_location>
#include <stdexcept>
#include <string>

namespace sluice {

// The exit codes of the programs. Scripts depend on these numbers.
enum class Exit {
    done = 0,
    other = 1,
    config = 2,
    data = 3,
    checkpoint = 4,
    disk = 5,
    non_finite = 6,
    peer_lost = 7,
    out_of_memory = 8,
    stopped = 75,  // stopped on request, with a checkpoint: start again to continue
};

class Failure : public std::runtime_error {
 public:
    Failure(Exit code, const std::string& what) : std::runtime_error(what), code_(code) {}
    Exit code() const { return code_; }

 private:
    Exit code_;
};

[[noreturn]] inline void fail(Exit code, const std::string& what) { throw Failure(code, what); }

inline void check(bool ok, const char* why, std::source_location at = std::source_location::current()) {
    if (!ok) fail(Exit::other, std::string(at.file_name()) + ":" + std::to_string(at.line()) + ": " + why);
}

}  // namespace sluice
