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

// All but those that a thread raises itself by a fault: these end the process where it stands.
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

// As if nobody had held the signal back.
void act_as_by_default(int number) {
    std::signal(number, SIG_DFL);
    const sigset_t only = set_of({number});
    pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
    kill(getpid(), number);
    pthread_sigmask(SIG_BLOCK, &only, nullptr);
}

void receive(sigset_t stops) {
    for (int number = 0; sigwait(&stops, &number) == 0;) {
        const bool again = requested && (number == SIGINT || number == SIGTERM);
        const bool held = sigismember(&mask_at_start, number);
        if (again || (!checkpointing && !held && !is_ignored(number))) act_as_by_default(number);
        if (checkpointing || held) requested = true;
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
        sigset_t others = mask_at_start;  // handled here, by whoever handles them
        for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGUSR1})
            if (sigismember(&stops, number)) sigaddset(&others, number);
        pthread_sigmask(SIG_SETMASK, &others, nullptr);
        receive(stops);
    }).detach();
}

void stop_with_checkpoint() { checkpointing = true; }
bool stop_requested() { return requested; }

}  // namespace sluice
