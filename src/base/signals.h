// Signals of a program that computes: no handler runs on a thread that computes.
//
// oneDNN 2.6's dnnl_sgemm keeps its stack pointer inside the heap for a while (uxlfoundation/oneDNN#4845): the frame of
// a signal handler would overwrite live memory there. So every thread blocks all signals that can be blocked, and one
// thread that computes nothing receives them for the whole process.
#pragma once

namespace sluice {

// Call once, first of all in main: threads inherit the mask of blocked signals, so no other thread may exist yet. Child
// processes get back the mask that this one started with. Until stop_with_checkpoint() every signal acts as before. A
// signal that was already blocked when the process started, as scripts/launch does, is remembered until then.
void receive_signals_on_one_thread();

// From now on SIGHUP (unless it is ignored, as under nohup), SIGINT, SIGTERM and SIGUSR1 request a checkpoint and then
// the end of the program. A second SIGINT or SIGTERM ends the process at once.
void stop_with_checkpoint();
bool stop_requested();
void request_stop();  // as such a signal does

}  // namespace sluice
