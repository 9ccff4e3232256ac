#include "parallel/nccl_watch.h"

#include <fmt/format.h>

#include <chrono>
#include <future>

#include "base/check.h"
#include "cli/terminal.h"

namespace sluice {
namespace {

constexpr auto kLook = std::chrono::milliseconds(50);
// So long NCCL may take to end its communicators: it waits for graphs that hold their kernels, which live on.
constexpr auto kAbort = std::chrono::seconds(2);

std::string text_of(const NcclWork& work) {
    return fmt::format("{} of group {} (collective {}, step {})", work.what, work.group, work.number, work.step);
}

}  // namespace

NcclWatch::NcclWatch(std::shared_ptr<Nccl> nccl, Comm& world, double timeout)
    : nccl_(std::move(nccl)), world_(world), timeout_(timeout), thread_([this] { watch(); }) {}

NcclWatch::~NcclWatch() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    event_.notify_all();
    thread_.join();
}

void NcclWatch::require() const {
    if (ended_) fail(Exit::peer_lost, line_);
}

std::string NcclWatch::trouble(const std::optional<NcclWork>& work) const {
    if (const std::string error = nccl_->error(); !error.empty())
        return "NCCL: " + error + (work ? ", before the end of " + text_of(*work) : "");
    if (!work || work->seconds <= timeout_) return "";
    return fmt::format("no answer for {:.0f} s in {}", work->seconds, text_of(*work));
}

void NcclWatch::watch() {
    nccl_->enter_thread();
    std::unique_lock lock(mutex_);
    while (!event_.wait_for(lock, kLook, [&] { return ending_; })) {
        lock.unlock();
        const auto work = nccl_->current();
        const std::string what = trouble(work);
        if (!what.empty()) {
            const std::string lost = world_.who_is_lost();
            const auto later = nccl_->current();  // it may have come about after all
            if (!trouble(later).empty() && (!work || (later && later->number == work->number)))
                return end_all(world_.name_in_launch() + ": " + what + "; " + lost + "; ending all ranks");
        }
        lock.lock();
    }
}

void NcclWatch::end_all(const std::string& line) {
    line_ = line;
    ended_ = true;
    print_error(line);
    // What waits on the host for the device goes on then; but NCCL itself may hang, and all ranks must end.
    std::promise<void> done;
    auto aborted = done.get_future();
    std::thread aborts([nccl = nccl_, done = std::move(done)]() mutable {
        nccl->enter_thread();
        nccl->abort();
        done.set_value();
    });
    if (aborted.wait_for(kAbort) == std::future_status::ready)
        aborts.join();
    else
        aborts.detach();
    try {
        world_.abort(int(Exit::peer_lost));
    } catch (const Failure&) {}  // of ranks that are threads: the others throw it too
}

}  // namespace sluice
