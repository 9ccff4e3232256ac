#include "kernels/emu/machine.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/number.h"
#include "base/rng.h"
#include "kernels/cuda/prim/kernel_name.h"
#include "kernels/emu/emu.h"
#include "kernels/emu/sanitizers.h"
#include "kernels/emu/where.h"

namespace sluice::emu {
namespace {

std::atomic<uint32_t> launches{0};

int64_t rounded_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Numbers 0 .. count - 1 in the order of the options.
class Permutation {
 public:
    Permutation(int64_t count, uint64_t draw) : count_(count), order_(options().order) {
        if (order_ != Order::seeded) return;
        first_ = mix(options().seed, draw) % uint64_t(count);
        do step_ = mix(options().seed, ++draw) % uint64_t(count) + 1;
        while (std::gcd(step_, uint64_t(count)) != 1);
    }
    int64_t operator()(int64_t i) const {
        if (order_ == Order::forward) return i;
        if (order_ == Order::reverse) return count_ - 1 - i;
        return int64_t((static_cast<unsigned __int128>(i) * step_ + first_) % uint64_t(count_));
    }

 private:
    int64_t count_;
    Order order_;
    uint64_t first_ = 0, step_ = 1;
};

// The variable's number, or `otherwise` where it is not set.
int64_t from_environment(const char* name, int64_t otherwise) {
    const char* const text = std::getenv(name);
    if (!text || !*text) return otherwise;
    int64_t number = 0;
    std::string wrong = read_number(text, number);
    if (wrong.empty() && number < 1) wrong = "must be at least 1";
    if (!wrong.empty()) fail(Exit::config, std::string(name) + ": " + wrong);
    return number;
}

Options options_from_environment() {
    Options options;
    options.device_bytes = size_t(from_environment("SLUICE_EMU_DEVICE_BYTES", 0));
    options.taken_bytes = size_t(from_environment("SLUICE_EMU_TAKEN_BYTES", 0));
    options.devices = int(from_environment("SLUICE_EMU_DEVICES", 1));
    return options;
}

std::string text(const Position& p) {
    return "(" + std::to_string(p.x) + ", " + std::to_string(p.y) + ", " + std::to_string(p.z) + ")";
}

}  // namespace

Options& options() {
    static Options options = options_from_environment();
    return options;
}

Machine& Machine::of_this_thread() {
    thread_local const std::unique_ptr<Machine> machine(new Machine);
    return *machine;
}

Machine& Machine::at_work() {
    sluice::check(running != nullptr, "a word of kernels is used outside of a launch");
    return *static_cast<Machine*>(running);
}

Machine::Machine() { shared = shared_memory_.data(); }

void Machine::run(const Launch& launch) {
    launch_ = &launch;
    this->launch = ++launches;
    threads = launch.threads;
    grid = {launch.shape.grid.x, launch.shape.grid.y, launch.shape.grid.z};
    dynamic_bytes = launch.shape.shared;
    arrays_.assign(1, {0, dynamic_bytes});
    shared_bytes_ = dynamic_bytes;
    shared_end_ = rounded_up(dynamic_bytes, kSharedGap) + kSharedGap;
    checks_ = options().checks;
    const bool edges = options().blocks == Blocks::edges;
    const auto visited = [&](int64_t blocks) { return edges ? std::min<int64_t>(2, blocks) : blocks; };
    const auto at = [&](int64_t i, int64_t blocks) { return edges && i == 1 ? blocks - 1 : i; };
    const int64_t nx = visited(grid.x), ny = visited(grid.y), count = nx * ny * visited(grid.z);
    if (options().traffic) {
        Traffic& of_kernel = traffic()[kernel_name(*launch.kernel)];
        of_kernel.launches++;
        of_kernel.blocks += grid.x * grid.y * grid.z;
        of_kernel.ran += count;
        counter_ = std::make_unique<Counter>(of_kernel);
    }
    watched = checks_ || counter_;

    Running* const before = std::exchange(running, this);
    const Permutation permutation(count, draws_ += 2);
    for (int64_t n = 0; n < count && fault_.empty(); n++) {
        const int64_t i = permutation(n);
        block = {at(i % nx, grid.x), at(i / nx % ny, grid.y), at(i / nx / ny, grid.z)};
        toucher_ = Toucher(block.x + grid.x * (block.y + grid.y * block.z));
        run_block();
        if (counter_) counter_->end_block();
    }
    counter_.reset();
    running = before;
    if (fault_.empty()) return;
    for (const auto& fiber : fibers_) fiber->restart();
    idle_.clear();
    for (const auto& fiber : fibers_) idle_.push_back(fiber.get());
    fail(Exit::other, std::exchange(fault_, {}));
}

void Machine::fault(const std::string& what, const std::string& where) {
    fault_ = launch_->op() + ": " + kernel_name(*launch_->kernel) + " block " + text(block) + " thread " +
             std::to_string(thread) + ": " + what + (where.empty() ? "" : ", ") + where;
    tsan_release(&returned_);
    Fiber::change(*fiber_, host_);
    std::abort();  // run() restarts the fiber
}

void Machine::prepare_order() {
    for (int i = 0; i < threads; i++) order_[size_t(i)] = i;
    if (options().order == Order::reverse) std::reverse(order_.begin(), order_.begin() + threads);
    if (options().order != Order::seeded) return;
    for (int i = threads - 1; i > 0; i--)
        std::swap(order_[size_t(i)], order_[mix(options().seed, ++draws_) % uint64_t(i + 1)]);
}

// ---------------------------------------------------------------- shared memory
char* Machine::shared_array(SharedArray& place, int64_t bytes, const Site& at) {
    if (place.launch == launch) return shared + place.offset;
    shared_bytes_ += bytes;
    const int64_t of_static = shared_bytes_ - dynamic_bytes;
    if (of_static > kSharedWithoutOptIn || shared_bytes_ > launch_->shared_limit)
        fault(std::to_string(of_static) + " bytes of static and " + std::to_string(dynamic_bytes) +
                  " of dynamic shared memory: at most " +
                  std::to_string(of_static > kSharedWithoutOptIn ? kSharedWithoutOptIn : launch_->shared_limit) +
                  (of_static > kSharedWithoutOptIn ? " static" : " together"),
              where(at));
    if (shared_end_ + bytes > kSharedArena) fault("too many shared arrays for the emulator", where(at));
    place = {launch, shared_end_};
    arrays_.push_back({place.offset, bytes});
    std::memset(shared + place.offset, kPoison, size_t(bytes));
    shared_end_ = rounded_up(shared_end_ + bytes, kSharedGap) + kSharedGap;
    return shared + place.offset;
}

char* Machine::dynamic_shared(int64_t offset, const Site& at) {
    if (offset < 0 || offset > dynamic_bytes)
        fault("byte " + std::to_string(offset) + " of dynamic shared memory of " + std::to_string(dynamic_bytes) +
                  " bytes",
              where(at));
    return shared + offset;
}

}  // namespace sluice::emu
