// Errors. A Failure carries the program's exit code and one line that says what, where and what to do.
// check() guards what can only be a bug of ours; fail() is for what a user or a machine did.
#pragma once
#include <source_location>
#include <stdexcept>
#include <string>

namespace sluice {

// The exit codes of the program, a contract with scripts.
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
    stopped = 75,  // stopped with a checkpoint: start me again
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
