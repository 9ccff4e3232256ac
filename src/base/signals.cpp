#include "base/signals.h"

#include <csignal>
#include <initializer_list>

namespace sluice {
namespace {

volatile std::sig_atomic_t requested = 0;

void request(int number) {
    requested = 1;
    if (number != SIGUSR1) std::signal(number, SIG_DFL);
}

}  // namespace

void install_stop_signals() {
    for (int number : {SIGUSR1, SIGTERM, SIGINT}) {
        struct sigaction action = {};
        action.sa_handler = request;
        action.sa_flags = SA_RESTART;
        sigaction(number, &action, nullptr);
    }
}

bool stop_requested() { return requested != 0; }

}  // namespace sluice
