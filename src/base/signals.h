// Signals of a program that computes: no handler runs on a thread that computes.
//
// oneDNN 2.6's dnnl_sgemm keeps its stack pointer inside the heap for a while (uxlfoundation/oneDNN#4845): the frame of
// a signal handler would overwrite live memory there. So every thread blocks what can be blocked, whoever wants to
// handle it, and one thread, which computes nothing, receives it for all.
#pragma once

namespace sluice {

// To be called once, first of all in main: threads inherit what is blocked, so none may exist yet. Processes that are
// forked later get back the mask that this one started with. Until stop_with_checkpoint() every signal does what it
// did; one that this process was started with held back, as scripts/launch does, counts as if it came later.
void receive_signals_on_one_thread();

// From now on SIGHUP (unless it is ignored, as under nohup), SIGINT, SIGTERM and SIGUSR1 ask for a checkpoint and an
// end; a second SIGINT or SIGTERM ends the process at once.
void stop_with_checkpoint();
bool stop_requested();

}  // namespace sluice
