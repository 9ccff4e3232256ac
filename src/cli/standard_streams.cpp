#include "cli/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "base/check.h"

namespace sluice {

void secure_standard_streams() {
    // Opened in the wrong direction, so that using a closed stream is still an error.
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (fcntl(stream, F_GETFD) < 0) (void)!open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    std::signal(SIGPIPE, SIG_IGN);
}

bool stdout_complete() { return std::fflush(stdout) == 0 && std::ferror(stdout) == 0; }

void finish_stdout() {
    if (!stdout_complete())
        fail(Exit::disk, "stdout: cannot write the whole result: is it full, closed or a broken pipe?");
}

}  // namespace sluice
