// Ranks as threads of one process. A collective: every rank shows where its data is, waits for the others, reads
// theirs, and waits again before anyone moves on. Sums go in rank order.
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "parallel/comm.h"

namespace sluice {
namespace {

// What the ranks of a group share.
struct Group {
    explicit Group(int ranks) : shown(size_t(ranks)) {}
    std::vector<const void*> shown;  // by rank
    std::mutex mutex;
    std::condition_variable turn;
    size_t arrived = 0, generation = 0;
    int lost = -1;  // the first rank that failed
    std::exception_ptr cause;

    void wait() {
        std::unique_lock lock(mutex);
        if (lost >= 0) give_up();
        const size_t mine = generation;
        if (++arrived == shown.size()) {
            arrived = 0;
            generation++;
            turn.notify_all();
            return;
        }
        turn.wait(lock, [&] { return generation != mine || lost >= 0; });
        if (generation == mine) give_up();
    }
    void lose(int rank, std::exception_ptr why) {
        std::lock_guard lock(mutex);
        if (lost >= 0) return;
        lost = rank;
        cause = why;
        turn.notify_all();
    }
    [[noreturn]] void give_up() const { fail(Exit::peer_lost, "rank " + std::to_string(lost) + " is lost"); }
};

class Threads : public Comm {
 public:
    Threads(Group& group, int rank) : group_(group), rank_(rank) {}
    int rank() const override { return rank_; }
    int size() const override { return int(group_.shown.size()); }
    void all_reduce(float* x, int64_t count) override { sum(x, count); }
    void all_reduce(double* x, int64_t count) override { sum(x, count); }
    void all_reduce(int64_t* x, int64_t count) override { sum(x, count); }
    void all_gather(void* out, const void* in, size_t bytes) override {
        show(in, bytes);
        for (size_t r = 0; r < group_.shown.size(); r++)
            std::memcpy(static_cast<char*>(out) + r * bytes, group_.shown[r], bytes);
        group_.wait();
    }
    void broadcast(void* x, size_t bytes, int root) override {
        show(x, bytes);
        if (rank_ != root) std::memcpy(x, group_.shown[size_t(root)], bytes);
        group_.wait();
    }
    void barrier() override { group_.wait(); }
    void abort(int code) override { fail(Exit(code), "rank " + std::to_string(rank_) + " ended the run"); }

 private:
    void show(const void* x, size_t bytes) {
        bytes_ += int64_t(bytes);
        group_.shown[size_t(rank_)] = x;
        group_.wait();
    }
    template <class T>
    void sum(T* x, int64_t count) {
        show(x, size_t(count) * sizeof(T));
        std::vector<T> total(static_cast<const T*>(group_.shown[0]), static_cast<const T*>(group_.shown[0]) + count);
        for (size_t r = 1; r < group_.shown.size(); r++) {
            const T* y = static_cast<const T*>(group_.shown[r]);
            for (int64_t i = 0; i < count; i++) total[size_t(i)] += y[i];
        }
        group_.wait();
        std::copy(total.begin(), total.end(), x);
    }

    Group& group_;
    int rank_;
};

}  // namespace

void run_threads(int ranks, const std::function<void(Comm&)>& body) {
    Group group(ranks);
    std::vector<std::thread> threads;
    for (int r = 0; r < ranks; r++)
        threads.emplace_back([&, r] {
            try {
                Threads comm(group, r);
                body(comm);
            } catch (...) { group.lose(r, std::current_exception()); }
        });
    for (auto& t : threads) t.join();
    if (group.cause) std::rethrow_exception(group.cause);
}

}  // namespace sluice
