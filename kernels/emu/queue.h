// Streams as queues of tasks, which run as late as events and waits allow.
//
// Every task has a clock: of each stream, the last task that is sure to be done when this one begins, since it stands
// before it in its queue, since an event was waited for, or since the host has waited. What touches device memory after
// a task that its clock does not know is a race, even where the order of this run gives right numbers.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <typeinfo>
#include <vector>

namespace sluice::emu {

class Capture;
class StreamQueue;

class Clock {
 public:
    uint64_t at(size_t stream) const { return stream < last_.size() ? last_[stream] : 0; }
    void set(size_t stream, uint64_t serial);
    void join(const Clock&);

 private:
    std::vector<uint64_t> last_;  // serial number of a task, by stream
};

// What an event stands for once it is recorded: a point of a stream.
struct Mark {
    StreamQueue* stream;
    uint64_t serial;  // of the record's task
    Clock clock;
    double milliseconds = 0;  // when it was reached
};
struct CapturedMark;
struct Event {
    bool timed = false;
    std::shared_ptr<Mark> mark;                    // null: never recorded, or last in a capture
    std::shared_ptr<const CapturedMark> captured;  // null: not last recorded in a capture
};

struct Task {
    std::function<void()> work;
    std::shared_ptr<Mark> after;  // must be reached first; null: nothing
    const std::type_info* kernel = nullptr;
    uint64_t serial = 0;
    Clock clock;
};

class StreamQueue {
 public:
    explicit StreamQueue(size_t index) : index(index) {}
    const size_t index;
    std::deque<Task> tasks;
    uint64_t queued = 0, done = 0;  // serial numbers
    Clock clock;                    // of the next task
    Capture* capture = nullptr;     // which what it is given goes to instead; null: none
    bool reached(uint64_t serial) const { return done >= serial; }
};

class Device {
 public:
    static Device& get();
    using Lock = std::unique_lock<std::recursive_mutex>;
    Lock lock() { return Lock(mutex_); }

    StreamQueue* open();
    bool is_stream(const StreamQueue*) const;
    void close(StreamQueue*);  // runs what is queued on it
    StreamQueue& of(StreamQueue* stream) { return stream ? *stream : *streams_.front(); }

    void queue(StreamQueue&, std::function<void()> work, const std::type_info* kernel = nullptr);
    void queue_wait(StreamQueue&, std::shared_ptr<Mark>);
    std::shared_ptr<Mark> record(StreamQueue&);

    void reach(StreamQueue&, uint64_t serial);  // runs tasks until the stream has done this one
    void reach_all();                           // all tasks, and the host knows
    void step(StreamQueue&);                    // one task that gets the stream on
    // All that the clock knows is done, and the host has waited for it.
    void host_knows(const Clock& clock) { host_.join(clock); }

    // The time that what has run might have taken on a GPU; and a task that runs takes so much more.
    double milliseconds() const { return milliseconds_; }
    void spend(double milliseconds) { milliseconds_ += milliseconds; }

    // The message of an error that no call has returned so far, or empty; and forgets it.
    std::string take_failure();

    // ---- of the task that runs
    uint32_t number() const { return number_; }  // 1 .. 65535: tasks are counted anew after that
    bool knows(uint32_t number) const {          // whether it is sure to run after that task
        const Finished& task = finished_[number];
        return running_->clock.at(task.stream) >= task.serial;
    }
    std::string name(uint32_t number) const;  // "RmsNormForward<bf16>", "a copy"

 private:
    struct Finished {
        size_t stream = 0;
        uint64_t serial = 0;
        const std::type_info* kernel = nullptr;
    };
    Device();
    bool may_run(const StreamQueue& stream) const;
    StreamQueue& choose(StreamQueue& wanted);
    void run_front(StreamQueue&);
    void drop(StreamQueue&);

    std::recursive_mutex mutex_;
    std::vector<std::unique_ptr<StreamQueue>> streams_;  // a null one has been closed; the first is the default stream
    Clock host_, closed_;             // what the host knows to be done; what closed streams have done
    std::vector<Finished> finished_;  // by number
    uint32_t number_ = 0;
    const Task* running_ = nullptr;
    std::string failure_;
    uint64_t draws_ = 0;
    double milliseconds_ = 0;
};

}  // namespace sluice::emu
