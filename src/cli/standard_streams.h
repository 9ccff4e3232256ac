// stdin, stdout and stderr, which may be closed, full, or pipes whose reader has gone.
#pragma once

namespace sluice {

// To be called first in main. No file that is opened later gets the number of a stream that was closed, and a write to
// a pipe without a reader fails instead of ending the process.
void secure_standard_streams();

// Whether stdout has accepted everything printed so far. After one failure it stays false.
bool stdout_complete();

// Output is the result of a command. Errors: Failure(Exit::disk) where stdout has not accepted all of it.
void finish_stdout();

}  // namespace sluice
