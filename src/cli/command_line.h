// The command line of a program, parsed by CLI11. It prints help when asked for it or without arguments; an error is
// one line.
#pragma once
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace sluice {

// Parses the arguments into the app. False: a page was printed instead (no arguments, `help`, `help COMMAND`, --help,
// --version). keys: those of a config, for commands that take "overrides". Errors: Failure(Exit::config); for an
// unknown command, option or key it names the nearest known one.
bool read_command_line(CLI::App& app, int argc, char** argv, const std::vector<std::string>& keys = {});

// An option for a number (base/number.h) from low to high; T: int, int64_t or double. value: holds the default.
template <class T>
CLI::Option* add_number(CLI::App& app, const std::string& name, T& value, T low, T high, const std::string& what);

}  // namespace sluice
