// Errors that every rank may meet at the same place, such as a bad config: all ranks end in order, one tells.
#pragma once
#include <functional>

#include "parallel/comm.h"

namespace sluice {

// Runs body on every rank. When any throws a Failure, the lowest such rank prints its line, and every rank gets that
// rank's exit code; else 0. Use where no rank waits for another inside body.
int collectively(Comm& comm, const std::function<void()>& body);

}  // namespace sluice
