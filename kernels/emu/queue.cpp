#include "kernels/emu/queue.h"

#include <algorithm>
#include <exception>
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

Device& Device::get() {
    static Device* const device = new Device;  // outlives what is freed as the program ends
    return *device;
}

Device::Device() : finished_(kMostNumber + 1) { open(); }

StreamQueue* Device::open() {
    auto hole = std::find(streams_.begin(), streams_.end(), nullptr);
    if (hole == streams_.end()) hole = streams_.insert(hole, nullptr);
    *hole = std::make_unique<StreamQueue>(size_t(hole - streams_.begin()));
    StreamQueue& stream = **hole;
    stream.queued = stream.done = closed_.at(stream.index);  // it goes on where a closed one ended
    stream.clock.set(stream.index, stream.queued);
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
    const Mark* after = stream.tasks.front().after.get();
    return !after || !is_stream(after->stream) || after->stream->reached(after->serial);
}

// The stream whose first task runs next, so that `wanted` gets on. Forward: only what it waits for. Reverse: all that
// others can do, first. Seeded: either, by chance.
StreamQueue& Device::choose(StreamQueue& wanted) {
    if (options().order != Order::forward) {
        std::vector<StreamQueue*> others;
        for (const auto& stream : streams_)
            if (stream && stream.get() != &wanted && may_run(*stream)) others.push_back(stream.get());
        const uint64_t draw = mix(options().seed, ++draws_);
        if (!others.empty() && (options().order == Order::reverse || draw % 2))
            return *others[draw / 2 % others.size()];
    }
    StreamQueue* stream = &wanted;
    while (!may_run(*stream)) stream = stream->tasks.front().after->stream;  // events make no circles
    return *stream;
}

void Device::reach(StreamQueue& stream, uint64_t serial) {
    if (stream.reached(serial)) return;
    const DeviceMemory::Open open;
    while (!stream.reached(serial)) run_front(choose(stream));
}

void Device::reach_all() {
    for (size_t i = 0; i < streams_.size(); i++)
        if (StreamQueue* stream = streams_[i].get()) {
            reach(*stream, stream->queued);
            host_.join(stream->clock);
        }
}

void Device::step(StreamQueue& stream) {
    if (stream.tasks.empty()) return;
    const DeviceMemory::Open open;
    run_front(choose(stream));
}

void Device::run_front(StreamQueue& stream) {
    const Task task = std::move(stream.tasks.front());
    stream.tasks.pop_front();
    if (++number_ > kMostNumber) {
        number_ = 1;
        DeviceMemory::get().forget_touched();
    }
    finished_[number_] = {stream.index, task.serial, task.kernel};
    running_ = &task;
    try {
        milliseconds_ += kTaskMilliseconds;
        task.work();
        stream.done = task.serial;
    } catch (const std::exception& error) {
        if (failure_.empty()) failure_ = error.what();
        drop(stream);
    }
    running_ = nullptr;
}

void Device::drop(StreamQueue& stream) {
    stream.tasks.clear();
    stream.done = stream.queued;
}

std::string Device::take_failure() { return std::exchange(failure_, {}); }

std::string Device::name(uint32_t number) const {
    const std::type_info* kernel = finished_[number].kernel;
    return kernel ? kernel_name(*kernel) : "a copy";
}

}  // namespace sluice::emu
