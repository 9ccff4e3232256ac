#include "base/signals.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <initializer_list>
#include <thread>

namespace sluice {
namespace {

std::atomic<bool> checkpointing{false}, requested{false};
sigset_t mask_at_start;

sigset_t set_of(std::initializer_list<int> numbers) {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : numbers) sigaddset(&set, number);
    return set;
}

// All signals but those that a fault of the thread itself raises: they end the process at the fault.
sigset_t all_but_faults() {
    sigset_t set;
    sigfillset(&set);
    for (const int fault : {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP}) sigdelset(&set, fault);
    return set;
}

bool is_ignored(int number) {
    struct sigaction action = {};
    return sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

// Applies the default action, as if the signal had not been blocked.
void act_as_by_default(int number) {
    std::signal(number, SIG_DFL);
    const sigset_t only = set_of({number});
    pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
    kill(getpid(), number);
    pthread_sigmask(SIG_BLOCK, &only, nullptr);
}

// Runs on the thread that receives signals. A signal that was blocked at the start is a request, also before
// checkpointing.
void receive(sigset_t stops) {
    for (int number = 0; sigwait(&stops, &number) == 0;) {
        const bool again = requested && (number == SIGINT || number == SIGTERM);
        const bool blocked_at_start = sigismember(&mask_at_start, number);
        if (again || (!checkpointing && !blocked_at_start && !is_ignored(number))) act_as_by_default(number);
        if (checkpointing || blocked_at_start) requested = true;
    }
}

}  // namespace

void receive_signals_on_one_thread() {
    const sigset_t all = all_but_faults();
    pthread_sigmask(SIG_BLOCK, &all, &mask_at_start);
    pthread_atfork(nullptr, nullptr, [] { pthread_sigmask(SIG_SETMASK, &mask_at_start, nullptr); });
    sigset_t stops = set_of({SIGINT, SIGTERM, SIGUSR1});
    if (!is_ignored(SIGHUP)) sigaddset(&stops, SIGHUP);
    std::thread([stops] {
        sigset_t others = mask_at_start;  // signals but these run their handlers, if any, on this thread
        for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGUSR1})
            if (sigismember(&stops, number)) sigaddset(&others, number);
        pthread_sigmask(SIG_SETMASK, &others, nullptr);
        receive(stops);
    }).detach();
}

void stop_with_checkpoint() { checkpointing = true; }
bool stop_requested() { return requested; }
void request_stop() { requested = true; }

}  // namespace sluice
