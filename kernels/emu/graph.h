// Graphs: what streams were given while they were captured, to be queued again by one call.
//
// A stream that waits for an event of a captured stream joins its capture. A launch gives the work of the stream where
// the capture began to the stream that it is launched on, and that of each other one to a queue of the graph's own,
// with an event for each that was captured. So a launch runs as late, in as many orders, and with as exact clocks as
// the queues do.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "kernels/emu/queue.h"

namespace sluice::emu {

// An event recorded in a capture.
struct CapturedMark {
    const Capture* capture;
    size_t index;  // among the capture's
    Clock clock;   // by branch: the number of actions that are before it
};

class Capture {
 public:
    // Queues work on a stream as it was queued on the captured one.
    using Queue = std::function<void(StreamQueue&)>;
    struct Action {
        enum Kind { work, record, wait } kind;
        size_t branch;
        Queue queue;      // of work
        size_t mark = 0;  // of record and wait
    };

    explicit Capture(StreamQueue& origin) : branches_{{&origin, {}, 0}} {}

    void add(const StreamQueue&, Queue);
    std::shared_ptr<CapturedMark> record(const StreamQueue&);
    void wait(StreamQueue&, const CapturedMark&);  // which joins if it is not captured yet

    void invalidate() { valid_ = false; }
    bool valid() const { return valid_; }
    bool began_on(const StreamQueue& stream) const { return branches_.front().stream == &stream; }
    bool joined() const;  // the origin has waited for all that the other branches were given
    void end();           // its streams are captured no longer

    const std::vector<Action>& actions() const { return actions_; }
    size_t branches() const { return branches_.size(); }
    size_t marks() const { return marks_; }

 private:
    struct Branch {
        StreamQueue* stream;
        Clock clock;
        uint64_t actions;
    };
    Branch& branch_of(const StreamQueue&);
    void act(Branch&, Action);

    std::vector<Branch> branches_;
    std::vector<Action> actions_;
    size_t marks_ = 0;
    bool valid_ = true;
};

struct Graph {
    std::shared_ptr<const Capture> capture;
};

class GraphExec {
 public:
    explicit GraphExec(const Graph& graph);
    ~GraphExec();
    GraphExec(const GraphExec&) = delete;
    GraphExec& operator=(const GraphExec&) = delete;

    void launch(StreamQueue&);

 private:
    std::shared_ptr<const Capture> capture_;
    std::vector<StreamQueue*> own_;  // of branches but the first
};

}  // namespace sluice::emu
