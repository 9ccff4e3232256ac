// A program's command line, read by CLI11: help where it is asked for or nothing is asked, and one line that says what
// is wrong.
#pragma once

namespace CLI {
class App;
}

namespace sluice {

// Parses the words into the app. False: a page was printed instead (no words, `help`, `help COMMAND`, --help,
// --version). Errors: Failure(Exit::config), with the nearest command or option where one is not known.
bool read_command_line(CLI::App& app, int argc, char** argv);

}  // namespace sluice
