// The terminal behind a stream.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "cli/terminal.h"

namespace sluice {
namespace {

constexpr int kUsualColumns = 80;  // where a terminal reports no size

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

// mpirun gives a rank a terminal without a size as stdout and a pipe as stderr, and forwards what is written.
bool started_by_mpirun() {
    std::ifstream in("/proc/" + std::to_string(getppid()) + "/comm");
    std::string name;
    std::getline(in, name);
    return name == "mpirun" || name == "mpiexec" || name == "orterun";
}
bool goes_to_mpirun(int stream) {
    static const bool by_mpirun = started_by_mpirun();
    struct stat s;
    return by_mpirun && (stream == STDERR_FILENO ? fstat(stream, &s) == 0 && S_ISFIFO(s.st_mode) : isatty(stream) == 1);
}

// Columns that a terminal reports; 0: it reports none; -1: not a terminal.
int told_columns(int fd) {
    if (isatty(fd) != 1) return -1;
    winsize size = {};
    return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}
int told_columns_of_mpirun(int stream) {
    const std::string path = "/proc/" + std::to_string(getppid()) + "/fd/" + std::to_string(stream);
    struct stat s;
    if (stat(path.c_str(), &s) != 0 || !S_ISCHR(s.st_mode)) return -1;  // opening a pipe might block, or keep it open
    const int fd = open(path.c_str(), O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return -1;
    const int columns = told_columns(fd);
    close(fd);
    return columns;
}

}  // namespace

Screen screen_of(std::FILE* stream) {
    const int fd = fileno(stream);
    int columns = goes_to_mpirun(fd) ? told_columns_of_mpirun(fd) : told_columns(fd);
    if (columns < 0) return {};
    if (columns == 0) columns = std::atoi(variable("COLUMNS").c_str());
    if (columns <= 0) columns = kUsualColumns;
    const std::string kind = variable("TERM");
    // The last column stays empty: some terminals wrap as soon as it is written.
    return {std::max(1, columns - 1), !kind.empty() && kind != "dumb" && variable("NO_COLOR").empty()};
}

}  // namespace sluice
