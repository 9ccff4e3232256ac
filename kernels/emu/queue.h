// Streams as queues of tasks, which run as late as events and waits allow.
//
// Every task has a clock: of each stream, the last task that is sure to be done when this one begins, since it stands
// before it in its queue, since an event was waited for, or since the host has waited. What touches device memory after
// a task that its clock does not know is a race, even where the order of this run gives right numbers.
//
// A task may be one rank's part of what several streams do together (Meeting). Then a wait may have to wait for what
// other threads of the host have yet to queue.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
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

// What a task does together with tasks of other streams.
class Meeting {
 public:
    virtual ~Meeting() = default;
    // Whether it can happen now; else `first` is a stream that must get on before, or null where its task is not
    // queued.
    virtual bool may_happen(StreamQueue*& first) const = 0;
    virtual std::string text() const = 0;           // what it is, and whom it waits for
    virtual void drop(const std::string& why) = 0;  // its task will never run
};

struct Task {
    std::function<void()> work;
    std::shared_ptr<Mark> after;  // must be reached first; null: nothing
    const std::type_info* kernel = nullptr;
    uint64_t serial = 0;
    Clock clock;
    std::shared_ptr<Meeting> meeting{};  // null: it is alone
};

class StreamQueue {
 public:
    explicit StreamQueue(size_t index) : index(index) {}
    const size_t index;
    std::deque<Task> tasks;
    uint64_t queued = 0, done = 0;  // serial numbers
    Clock clock;                    // of the next task
    Capture* capture = nullptr;     // which what it is given goes to instead; null: none
    std::thread::id owner;          // that opened it; of the default stream nobody
    bool is_here() const { return owner == std::thread::id() || owner == std::this_thread::get_id(); }
    bool reached(uint64_t serial) const { return done >= serial; }
};

// A mutex that its holder may lock again, and lets go of altogether while it waits.
class DeviceMutex {
 public:
    void lock();
    void unlock();
    void wait(std::chrono::milliseconds most);  // until another thread calls moved(), or so long; a holder calls it
    void moved() { event_.notify_all(); }

 private:
    std::mutex mutex_;
    std::condition_variable free_, event_;
    std::thread::id owner_;
    int depth_ = 0;
};

class Device {
 public:
    static Device& get();
    using Lock = std::unique_lock<DeviceMutex>;
    Lock lock() { return Lock(mutex_); }

    StreamQueue* open();
    bool is_stream(const StreamQueue*) const;
    void close(StreamQueue*);  // runs what is queued on it
    StreamQueue& of(StreamQueue* stream) { return stream ? *stream : *streams_.front(); }

    void queue(StreamQueue&, std::function<void()> work, const std::type_info* kernel = nullptr);
    void queue_wait(StreamQueue&, std::shared_ptr<Mark>);
    void queue_meeting(StreamQueue&, std::shared_ptr<Meeting>, std::function<void()> work);
    std::shared_ptr<Mark> record(StreamQueue&);

    void reach(StreamQueue&, uint64_t serial);  // runs tasks until the stream has done this one
    void reach_all();         // all tasks of this thread's streams, and the host knows; of others as far as they get
    void step(StreamQueue&);  // one task that gets the stream on, if there is one
    // All that the clock knows is done, and the host has waited for it.
    void host_knows(const Clock& clock) { host_.join(clock); }

    // ---- threads that wait for one another
    // A thread whose waits depend on what others of them queue. Where all of them wait, nothing ever goes on.
    void join(std::thread::id thread) { depends_[thread]++; }
    void leave(std::thread::id thread);
    void moved();                                       // something may go on that could not before
    void expect_hangs(int more) { expected_ += more; }  // while there are any, a wait has no end

    // The time that what has run might have taken on a GPU; and a task that runs takes so much more.
    double milliseconds() const { return milliseconds_; }
    void spend(double milliseconds) { milliseconds_ += milliseconds; }

    // The message of an error that no call has returned so far, or empty; and forgets it.
    std::string take_failure();

    // ---- of the task that runs
    // act() as if the first task of the stream ran.
    void as(const StreamQueue&, const std::function<void()>& act);
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
        bool meeting = false;
    };
    Device();
    bool may_run(const StreamQueue& stream) const;
    StreamQueue* choose(StreamQueue& wanted);
    bool run_until(StreamQueue&, uint64_t serial);
    void wait_for_others(StreamQueue&, std::chrono::steady_clock::time_point since);
    void end_wait(std::thread::id thread, StreamQueue* stream = nullptr);
    void run_front(StreamQueue&);
    void number(const StreamQueue&, const Task&);
    void drop(StreamQueue&, const std::string& why);

    DeviceMutex mutex_;
    std::vector<std::unique_ptr<StreamQueue>> streams_;  // a null one has been closed; the first is the default stream
    Clock host_, closed_;             // what the host knows to be done; what closed streams have done
    std::vector<Finished> finished_;  // by number
    uint32_t number_ = 0;
    const Task* running_ = nullptr;
    std::string failure_;
    std::map<std::thread::id, int> depends_;
    std::map<std::thread::id, uint64_t> waiting_;  // moves_ when each began to wait
    std::map<std::thread::id, std::string> hung_;  // what each has not been told of yet
    uint64_t moves_ = 0;
    int expected_ = 0;
    uint64_t draws_ = 0;
    double milliseconds_ = 0;
};

}  // namespace sluice::emu
