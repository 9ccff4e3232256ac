// Errors that any rank may meet at the same point of the program, such as a bad config: all ranks end in order, and one
// prints the error.
#pragma once
#include <functional>
#include <string>

#include "parallel/comm.h"

namespace sluice {

// Collective. Runs body on every rank. If any throws a Failure, the lowest such rank prints its message, and every rank
// returns that rank's exit code; else 0. Inside body no rank may wait for another.
int on_all_ranks(Comm& comm, const std::function<void()>& body);

// Collective. Returns rank 0's text on every rank.
std::string from_rank_zero(Comm& comm, std::string text);
// Collective. Returns the lowest rank whose text differs from rank 0's; -1: none does.
int first_other(Comm& comm, const std::string& text);

}  // namespace sluice
