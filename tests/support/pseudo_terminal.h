// A program on a terminal of so many columns: what it shows there.
#pragma once
#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

namespace sluice {

struct Shown {
    int code = -1;
    std::string text;  // as it came, line ends as \n

    // Lines as they stand in the end, or stood before something was written over them; without colours.
    std::vector<std::string> lines() const {
        std::vector<std::string> lines{""};
        for (size_t i = 0; i < text.size(); i++) {
            if (text[i] == '\x1b')
                while (i + 1 < text.size() && !isalpha((unsigned char)text[i])) i++;
            else if (text[i] == '\n' || text[i] == '\r')
                lines.emplace_back();
            else
                lines.back() += text[i];
        }
        return lines;
    }
};

// command: for sh. on_text, where given, sees what has come so far, and the terminal's descriptor.
inline Shown on_terminal(const std::string& command, int columns,
                         const std::function<void(const std::string&, int)>& on_text = {}) {
    winsize size = {};
    size.ws_row = 24;
    size.ws_col = (unsigned short)columns;
    int terminal = -1;
    const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
        _exit(127);
    }
    Shown shown;
    std::string raw;
    char buffer[4096];
    for (ssize_t n; (n = read(terminal, buffer, sizeof buffer)) > 0;) {
        raw.append(buffer, size_t(n));
        if (on_text) on_text(raw, terminal);
    }
    int status = 0;
    waitpid(child, &status, 0);
    close(terminal);
    shown.code = WEXITSTATUS(status);
    for (size_t i = 0; i < raw.size(); i++)
        if (raw[i] != '\r' || i + 1 == raw.size() || raw[i + 1] != '\n') shown.text += raw[i];
    return shown;
}

}  // namespace sluice
