// A wish to stop: SIGUSR1, SIGTERM and SIGINT set a flag that the training loop reads. A second SIGTERM or SIGINT ends
// the process at once.
#pragma once

namespace sluice {

void install_stop_signals();
bool stop_requested();

}  // namespace sluice
