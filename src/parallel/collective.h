// Errors that any rank may meet at the same step of the program, such as a bad config: all ranks end in order, and one
// prints the error.
#pragma once
#include <functional>
#include <string>

#include "parallel/comm.h"

namespace sluice {

// Runs body on every rank. When any throws a Failure, the lowest such rank prints its line, and every rank gets that
// rank's exit code; else 0. Use where no rank waits for another inside body.
int on_all_ranks(Comm& comm, const std::function<void()>& body);

// Rank 0's text, on every rank. Collective.
std::string from_rank_zero(Comm& comm, std::string text);
// The lowest rank whose text is not rank 0's; -1: none. Collective.
int first_other(Comm& comm, const std::string& text);

}  // namespace sluice
