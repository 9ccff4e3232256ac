// Ops that are queued alike time and again, as those of a step's micro-batches are. Where each launch costs the host
// time, they are captured once, and launched by one call from then on; a CPU runs them.
//
//     replay.run(stream, [&] { ... });   // queues the same ops on the same memory each time
//
// The ops are queued one by one the first time, when libraries choose their algorithms; while a profile is taken, which
// is of each op; and where launches are synchronous. What is queued may not wait for the device, and what the host does
// beside it is done while it is captured, and not again.
#pragma once
#include <memory>

#include "kernels/backend.h"

namespace sluice {

template <class B>
class Replay {
 public:
    // name: of what is queued, for errors that show later.
    explicit Replay(const char* name);
    ~Replay();
    Replay(const Replay&) = delete;
    Replay& operator=(const Replay&) = delete;

    template <class F>
    void run(Stream stream, F&& queue) {
        Turn turn = begin(stream);
        if (turn == Turn::capture) {
            try {
                queue();
            } catch (...) {
                abandon(stream);
                throw;
            }
            turn = end(stream);
        }
        if (turn == Turn::launch)
            launch(stream);
        else
            queue();
    }

 private:
    enum class Turn { queue, capture, launch };
    Turn begin(Stream);  // capture: all that the stream is given from here on goes into the graph
    Turn end(Stream);    // launch; or queue where it could not be captured, which is warned of once
    void abandon(Stream);
    void launch(Stream);

    struct Captured;
    const char* name_;
    std::unique_ptr<Captured> captured_;
};

}  // namespace sluice
