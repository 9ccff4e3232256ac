// How the threads of a block take turns, and what they do together.
#include <cstring>

#include "base/rng.h"
#include "kernels/emu/emu.h"
#include "kernels/emu/machine.h"
#include "kernels/emu/sanitizers.h"
#include "kernels/emu/where.h"

namespace sluice::emu {
namespace {

bool same(const Site& a, const Site& b) {
    return a.line() == b.line() && a.column() == b.column() && std::strcmp(a.file_name(), b.file_name()) == 0;
}

}  // namespace

void block_barrier(const Site& at) {
    const Unseen unseen;
    Machine::at_work().block_barrier(at);
}
void warp_barrier(const Site& at) {
    const Unseen unseen;
    Machine::at_work().collect("warp_barrier", {}, at, true);
}
const Slot* collect(const char* name, const Slot& mine, const Site& at) {
    const Unseen unseen;
    return Machine::at_work().collect(name, mine, at, false);
}
char* shared_array(SharedArray& place, int64_t bytes, const Site& at) {
    const Unseen unseen;
    return Machine::at_work().shared_array(place, bytes, at);
}
char* dynamic_shared(int64_t offset, const Site& at) {
    const Unseen unseen;
    return Machine::at_work().dynamic_shared(offset, at);
}

// ---------------------------------------------------------------- turns
void Machine::run_block() {
    const Unseen unseen;
    const size_t fibers = kTsan ? size_t(threads) : 1;
    while (fibers_.size() < fibers) {
        fibers_.push_back(std::make_unique<Fiber>(int(fibers_.size()), serve));
        idle_.push_back(fibers_.back().get());
    }
    for (const Span& array : arrays_) std::memset(shared + array.begin, kPoison, size_t(array.bytes));
    for (int t = 0; t < threads; t++) threads_[size_t(t)] = {};
    for (int w = 0; w < threads / kLanes; w++) {
        Warp& warp = warps_[size_t(w)];
        warp.arrived = warp.at_block_barrier = warp.returned = 0;
    }
    begun_ = returned_ = at_barrier_ = 0;
    ready_.clear();
    ready_front_ = 0;
    first_barrier_ = ++barriers_;
    prepare_order();
    tsan_release(&host_);
    fiber_ = &host_;
    leave();
    tsan_acquire(&returned_);
}

// Runs thread after thread, as long as there are any, each time the fiber is chosen.
void Machine::serve() {
    const Unseen unseen;
    for (;;) {
        Machine& machine = at_work();
        Fiber* const self = machine.fiber_;
        while (machine.begun_ < machine.threads) {
            machine.begin(machine.order_[size_t(machine.begun_++)]);
            tsan_look();
            machine.launch_->body();
            tsan_look_away();
            machine.end();
            if (kTsan) break;  // which would take two threads on one fiber for one after the other
        }
        if (!kTsan) machine.idle_.push_back(self);
        machine.leave();
    }
}

void Machine::begin(int t) {
    thread = t;
    threads_[size_t(t)] = {State::runs, fiber_};
    tsan_acquire(&host_);
}

void Machine::end() {
    Warp& warp = warps_[size_t(thread / kLanes)];
    threads_[size_t(thread)].state = State::returned;
    returned_++;
    warp.returned++;
    if (at_barrier_ > 0) fault("returns, and others wait in block_barrier at " + where(barrier_site_), "");
    if (warp.arrived > 0)
        fault("returns, and other lanes of its warp wait in " + std::string(warp.name) + " at " + where(warp.site), "");
}

void Machine::wait(State state) {
    const int t = thread;
    threads_[size_t(t)].state = state;
    leave();
    thread = t;
    threads_[size_t(t)].state = State::runs;
}

void Machine::wake(int t) { ready_.push_back(t); }

// Another fiber goes on; returns when this one is chosen again.
void Machine::leave() {
    Fiber& from = *fiber_;
    Fiber& to = next();
    if (&from == &to) return;
    tsan_release(&returned_);  // the host comes after all of it, whether this fiber is continued or given up
    fiber_ = &to;
    Fiber::change(from, to);
}

Fiber& Machine::next() {
    if (ready_front_ < ready_.size()) {
        if (options().order == Order::seeded)
            std::swap(ready_[ready_front_],
                      ready_[ready_front_ + mix(options().seed, ++draws_) % (ready_.size() - ready_front_)]);
        Fiber& fiber = *threads_[size_t(ready_[ready_front_++])].fiber;
        if (ready_front_ == ready_.size()) {
            ready_.clear();
            ready_front_ = 0;
        }
        return fiber;
    }
    if (begun_ < threads) {
        if (kTsan) return *fibers_[size_t(order_[size_t(begun_)])];
        if (idle_.empty()) {
            fibers_.push_back(std::make_unique<Fiber>(int(fibers_.size()), serve));
            idle_.push_back(fibers_.back().get());
        }
        Fiber& fiber = *idle_.back();
        idle_.pop_back();
        return fiber;
    }
    if (returned_ == threads) return host_;
    fault("deadlock: " + waiting(), "");
}

// ---------------------------------------------------------------- together
void Machine::block_barrier(const Site& at) {
    Warp& warp = warps_[size_t(thread / kLanes)];
    if (returned_ > 0)
        fault("waits in block_barrier, and " + std::to_string(returned_) + " threads have returned", where(at));
    if (at_barrier_ > 0 && !same(at, barrier_site_))
        fault("waits in block_barrier, and others wait in another one at " + where(barrier_site_), where(at));
    if (warp.arrived > 0) lane_missing(warp, "waits in block_barrier", at);
    barrier_site_ = at;
    warp.at_block_barrier++;
    tsan_release(&barriers_);
    if (++at_barrier_ < threads) {
        wait(State::at_block_barrier);
    } else {
        at_barrier_ = 0;
        barriers_++;
        for (int w = 0; w < threads / kLanes; w++) warps_[size_t(w)].at_block_barrier = 0;
        for (int i = 0; i < threads; i++)
            if (order_[size_t(i)] != thread) wake(order_[size_t(i)]);
    }
    tsan_acquire(&barriers_);
}

const Slot* Machine::collect(const char* name, const Slot& mine, const Site& at, bool orders_memory) {
    const int w = thread / kLanes, lane = thread % kLanes;
    Warp& warp = warps_[size_t(w)];
    if (warp.returned > 0)
        fault("waits in " + std::string(name) + ", and " + std::to_string(warp.returned) +
                  " lanes of its warp have returned",
              where(at));
    if (warp.at_block_barrier > 0)
        fault("waits in " + std::string(name) + ", and other lanes of its warp wait in block_barrier at " +
                  where(barrier_site_),
              where(at));
    if (warp.arrived > 0 && (warp.name != name || !same(at, warp.site)))
        lane_missing(warp, "waits in " + std::string(name), at);
    warp.name = name;
    warp.site = at;
    if (orders_memory) tsan_release(&warp);
    const int turn = warp.turn;
    warp.slots[size_t(turn)][size_t(lane)] = mine;
    if (++warp.arrived < kLanes) {
        wait(State::in_collective);
    } else {
        warp.arrived = 0;
        warp.turn = 1 - turn;
        if (orders_memory) warp.barriers++;
        const bool reverse = options().order == Order::reverse;
        for (int i = 0; i < kLanes; i++)
            if (const int other = reverse ? kLanes - 1 - i : i; other != lane) wake(w * kLanes + other);
    }
    if (orders_memory) tsan_acquire(&warp);
    return warp.slots[size_t(turn)].data();
}

void Machine::lane_missing(const Warp& warp, const std::string& does, const Site& at) {
    fault(does + ", and other lanes of its warp wait in " + std::string(warp.name) + " at " + where(warp.site),
          where(at));
}

std::string Machine::waiting() const {
    for (int t = 0; t < threads; t++) {
        const Warp& warp = warps_[size_t(t / kLanes)];
        if (threads_[size_t(t)].state == State::in_collective)
            return "thread " + std::to_string(t) + " waits in " + warp.name + " at " + where(warp.site);
        if (threads_[size_t(t)].state == State::at_block_barrier)
            return "thread " + std::to_string(t) + " waits in block_barrier at " + where(barrier_site_);
    }
    return "no thread can go on";
}

}  // namespace sluice::emu
