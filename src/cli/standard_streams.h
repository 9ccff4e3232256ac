// stdin, stdout and stderr as a program may be given them: closed, full, or pipes whose reader has gone.
#pragma once

namespace sluice {

// First in main: no file that is opened later takes the number of a stream that was closed, and writing where nobody
// reads is an error of that write, not the end of the process.
void secure_standard_streams();

// Whether stdout has taken all that was printed so far. Once it has not, it never says yes again.
bool stdout_complete();

// What a command prints is its result. Errors: Failure(Exit::disk) where stdout has not taken all of it.
void finish_stdout();

}  // namespace sluice
