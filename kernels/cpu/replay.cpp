// A CPU's ops run as they are queued: there is nothing to capture.
#include "kernels/replay.h"

namespace sluice {

template <class B>
struct Replay<B>::Captured {};

template <class B>
Replay<B>::Replay(const char* name) : name_(name) {}
template <class B>
Replay<B>::~Replay() = default;
template <class B>
typename Replay<B>::Turn Replay<B>::begin(Stream) {
    return Turn::queue;
}
template <class B>
typename Replay<B>::Turn Replay<B>::end(Stream) {
    return Turn::queue;
}
template <class B>
void Replay<B>::abandon(Stream) {}
template <class B>
void Replay<B>::launch(Stream) {}

#define INSTANTIATE(B) template class Replay<B>;
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
