#include "kernels/emu/queue.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

#include "base/rng.h"
#include "kernels/cuda/prim/kernel_name.h"
#include "kernels/emu/device_memory.h"
#include "kernels/emu/emu.h"
#include "kernels/emu/graph.h"

namespace sluice::emu {
namespace {

constexpr uint32_t kMostNumber = 0xffff;
constexpr double kTaskMilliseconds = 0.002;  // of a task, beside what it spends

}  // namespace

void Clock::set(size_t stream, uint64_t serial) {
    if (last_.size() <= stream) last_.resize(stream + 1);
    last_[stream] = serial;
}

void Clock::join(const Clock& other) {
    if (last_.size() < other.last_.size()) last_.resize(other.last_.size());
    for (size_t i = 0; i < other.last_.size(); i++) last_[i] = std::max(last_[i], other.last_[i]);
}

// ---------------------------------------------------------------- the lock
void DeviceMutex::lock() {
    std::unique_lock lock(mutex_);
    const auto me = std::this_thread::get_id();
    if (owner_ != me) free_.wait(lock, [&] { return depth_ == 0; });
    owner_ = me;
    depth_++;
}

void DeviceMutex::unlock() {
    const std::lock_guard lock(mutex_);
    if (--depth_ > 0) return;
    owner_ = {};
    free_.notify_one();
}

void DeviceMutex::wait(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    const auto me = std::exchange(owner_, {});
    const int depth = std::exchange(depth_, 0);
    free_.notify_one();
    event_.wait_for(lock, most);
    free_.wait(lock, [&] { return depth_ == 0; });
    owner_ = me;
    depth_ = depth;
}

// ---------------------------------------------------------------- streams
Device& Device::get() {
    static Device* const device = new Device;  // outlives what is freed as the program ends
    return *device;
}

Device::Device() : finished_(kMostNumber + 1) { open()->owner = {}; }

StreamQueue* Device::open() {
    auto hole = std::find(streams_.begin(), streams_.end(), nullptr);
    if (hole == streams_.end()) hole = streams_.insert(hole, nullptr);
    *hole = std::make_unique<StreamQueue>(size_t(hole - streams_.begin()));
    StreamQueue& stream = **hole;
    stream.queued = stream.done = closed_.at(stream.index);  // it goes on where a closed one ended
    stream.clock.set(stream.index, stream.queued);
    stream.owner = std::this_thread::get_id();
    return &stream;
}

bool Device::is_stream(const StreamQueue* stream) const {
    return !stream || std::any_of(streams_.begin(), streams_.end(), [&](const auto& s) { return s.get() == stream; });
}

void Device::close(StreamQueue* stream) {
    reach(*stream, stream->queued);
    closed_.set(stream->index, stream->queued);
    streams_[stream->index].reset();
}

// ---------------------------------------------------------------- queueing
void Device::queue(StreamQueue& stream, std::function<void()> work, const std::type_info* kernel) {
    if (stream.capture) {
        return stream.capture->add(
            stream, [this, work = std::move(work), kernel](StreamQueue& launched) { queue(launched, work, kernel); });
    }
    stream.clock.join(host_);
    stream.clock.set(stream.index, ++stream.queued);
    stream.tasks.push_back({std::move(work), nullptr, kernel, stream.queued, stream.clock});
}

void Device::queue_wait(StreamQueue& stream, std::shared_ptr<Mark> mark) {
    stream.clock.join(mark->clock);
    queue(stream, [] {});
    stream.tasks.back().after = std::move(mark);
}

void Device::queue_meeting(StreamQueue& stream, std::shared_ptr<Meeting> meeting, std::function<void()> work) {
    queue(stream, std::move(work));
    stream.tasks.back().meeting = std::move(meeting);
    moved();
}

std::shared_ptr<Mark> Device::record(StreamQueue& stream) {
    const auto mark = std::make_shared<Mark>();
    queue(stream, [this, mark] { mark->milliseconds = milliseconds_; });
    mark->stream = &stream;
    mark->serial = stream.queued;
    mark->clock = stream.clock;
    return mark;
}

// ---------------------------------------------------------------- running
bool Device::may_run(const StreamQueue& stream) const {
    if (stream.tasks.empty()) return false;
    const Task& front = stream.tasks.front();
    const Mark* after = front.after.get();
    if (after && is_stream(after->stream) && !after->stream->reached(after->serial)) return false;
    StreamQueue* first = nullptr;
    return !front.meeting || front.meeting->may_happen(first);
}

// The stream whose first task runs next, so that `wanted` gets on. Forward: only what it waits for. Reverse: all that
// others can do, first. Seeded: either, by chance. Null: it waits for what another thread has yet to queue.
StreamQueue* Device::choose(StreamQueue& wanted) {
    if (options().order != Order::forward) {
        std::vector<StreamQueue*> others;
        for (const auto& stream : streams_)
            if (stream && stream.get() != &wanted && may_run(*stream)) others.push_back(stream.get());
        const uint64_t draw = mix(options().seed, ++draws_);
        if (!others.empty() && (options().order == Order::reverse || draw % 2)) return others[draw / 2 % others.size()];
    }
    StreamQueue* stream = &wanted;
    // Events make no circles. Meetings can, and then nothing goes on.
    for (size_t steps = 0; !may_run(*stream); steps++) {
        if (stream->tasks.empty() || steps > streams_.size()) return nullptr;
        const Task& front = stream->tasks.front();
        StreamQueue* first = nullptr;
        if (front.after && is_stream(front.after->stream) && !front.after->stream->reached(front.after->serial))
            first = front.after->stream;
        else if (front.meeting)
            front.meeting->may_happen(first);
        if (!first) return nullptr;
        stream = first;
    }
    return stream;
}

// Runs tasks until the stream has done this one. False: it can get no further by what is queued.
bool Device::run_until(StreamQueue& stream, uint64_t serial) {
    const DeviceMemory::Open open;
    while (!stream.reached(serial)) {
        StreamQueue* const next = choose(stream);
        if (!next) return false;
        run_front(*next);
    }
    return true;
}

void Device::reach(StreamQueue& stream, uint64_t serial) {
    if (stream.reached(serial)) return;
    const auto since = std::chrono::steady_clock::now();
    while (!run_until(stream, serial)) wait_for_others(stream, since);
}

void Device::reach_all() {
    for (size_t i = 0; i < streams_.size(); i++)
        if (StreamQueue* stream = streams_[i].get()) {
            if (stream->is_here())
                reach(*stream, stream->queued);
            else if (!run_until(*stream, stream->queued))
                continue;
            host_.join(stream->clock);
        }
}

void Device::step(StreamQueue& stream) {
    if (stream.tasks.empty()) return;
    const DeviceMemory::Open open;
    if (StreamQueue* const next = choose(stream)) run_front(*next);
}

void Device::run_front(StreamQueue& stream) {
    const Task& task = stream.tasks.front();
    number(stream, task);
    running_ = &task;
    try {
        milliseconds_ += kTaskMilliseconds;
        task.work();
        stream.done = task.serial;
        stream.tasks.pop_front();
    } catch (const std::exception& error) {
        if (failure_.empty()) failure_ = error.what();
        drop(stream, error.what());
    }
    running_ = nullptr;
}

void Device::number(const StreamQueue& stream, const Task& task) {
    if (++number_ > kMostNumber) {
        number_ = 1;
        DeviceMemory::get().forget_touched();
    }
    finished_[number_] = {stream.index, task.serial, task.kernel, task.meeting != nullptr};
}

void Device::as(const StreamQueue& stream, const std::function<void()>& act) {
    const Task* const before = std::exchange(running_, &stream.tasks.front());
    number(stream, *running_);
    try {
        act();
    } catch (...) {
        running_ = before;
        throw;
    }
    running_ = before;
}

void Device::drop(StreamQueue& stream, const std::string& why) {
    for (const Task& task : stream.tasks)
        if (task.meeting) task.meeting->drop(why);
    stream.tasks.clear();
    stream.done = stream.queued;
    moved();
}

// ---------------------------------------------------------------- threads that wait for one another
void Device::leave(std::thread::id thread) {
    const auto found = depends_.find(thread);
    if (found != depends_.end() && --found->second == 0) {
        depends_.erase(found);
        hung_.erase(thread);
    }
    moved();
}

void Device::moved() {
    moves_++;
    mutex_.moved();
}

// What the thread waits for fails, and it is told so. stream: another one that it waits for.
void Device::end_wait(std::thread::id thread, StreamQueue* stream) {
    const auto ends = [&](const auto& s) { return s && (s.get() == stream || s->owner == thread); };
    std::string& why = hung_[thread];
    for (const auto& s : streams_)
        if (ends(s) && !s->tasks.empty() && s->tasks.front().meeting && why.empty())
            why = "NCCL would hang here: " + s->tasks.front().meeting->text();
    if (why.empty()) why = "NCCL would hang here: a wait for what never comes";
    for (const auto& s : streams_)
        if (ends(s)) drop(*s, why);
}

// Waits a while for what other threads do, so that the stream gets on. Where they all wait, it fails instead.
void Device::wait_for_others(StreamQueue& stream, std::chrono::steady_clock::time_point since) {
    const auto me = std::this_thread::get_id();
    waiting_[me] = moves_;
    const bool all_wait = !depends_.empty() && std::all_of(depends_.begin(), depends_.end(), [&](const auto& thread) {
        const auto waits = waiting_.find(thread.first);
        return waits != waiting_.end() && waits->second == moves_;
    });
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - since;
    if (expected_ == 0 && options().nccl_checks && (all_wait || waited.count() > options().hang_seconds)) {
        std::vector<std::thread::id> hang{me};
        if (all_wait)
            for (const auto& thread : depends_) hang.push_back(thread.first);
        for (const auto& thread : hang) end_wait(thread);
        end_wait(me, &stream);
        waiting_.erase(me);
        return;
    }
    mutex_.wait(std::chrono::milliseconds(20));
    waiting_.erase(me);
}

std::string Device::take_failure() {
    std::string failure = std::exchange(failure_, {});
    const auto hung = hung_.find(std::this_thread::get_id());
    if (hung == hung_.end()) return failure;
    if (failure.empty()) failure = hung->second;
    hung_.erase(hung);
    return failure;
}

std::string Device::name(uint32_t number) const {
    const std::type_info* kernel = finished_[number].kernel;
    return kernel ? kernel_name(*kernel) : finished_[number].meeting ? "a collective" : "a copy";
}

}  // namespace sluice::emu
