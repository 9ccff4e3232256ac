// A program's command line, read by CLI11: help where it is asked for or nothing is asked, and one line that says what
// is wrong.
#pragma once
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace sluice {

// Parses the words into the app. False: a page was printed instead (no words, `help`, `help COMMAND`, --help,
// --version). keys: of a config, for commands that take "overrides". Errors: Failure(Exit::config), with the command,
// option or key that is near to one that is not known.
bool read_command_line(CLI::App& app, int argc, char** argv, const std::vector<std::string>& keys = {});

// An option for a number (base/number.h) from low to high; T: int, int64_t or double. value: holds the default.
template <class T>
CLI::Option* add_number(CLI::App& app, const std::string& name, T& value, T low, T high, const std::string& what);

}  // namespace sluice
