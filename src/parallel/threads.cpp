// Ranks as threads of one process. A collective has three steps: every rank publishes a pointer to its data and waits
// until all have; it reads the data of the others; it waits until all have read, since the owner may then change its
// data. Sums are in rank order.
#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/machine.h"
#include "parallel/comm.h"
#include "parallel/liveness.h"

namespace sluice {
namespace {

struct Group;

// One for all ranks of a launch, whatever groups they form: a rank that fails releases all others.
struct Launch {
    std::mutex mutex;                            // guards this and every group
    std::vector<std::shared_ptr<Group>> groups;  // all that were ever made: lose() wakes them
    int lost = -1;                               // the first rank that failed
    std::exception_ptr cause;

    void lose(int rank, std::exception_ptr why);
};

// What a rank publishes in a collective: its data, and in an all_to_all the counts of elements for each rank.
struct Published {
    const void* data;
    const int64_t* counts;
};

// The state that the ranks of a group have in common.
struct Group {
    Group(Launch& launch, size_t ranks) : launch(launch), published(ranks), colors(ranks) {}
    Launch& launch;
    std::vector<Published> published;                 // by rank
    std::vector<int> colors;                          // in a split: by rank
    std::map<int, std::shared_ptr<Group>> subgroups;  // in a split: by color
    size_t arrived = 0, generation = 0;               // of wait()
    std::condition_variable event;                    // the group is complete, or a rank of the launch is lost

    // A barrier. The last rank to arrive starts the next generation, which the others wait for.
    void wait() {
        std::unique_lock lock(launch.mutex);
        if (launch.lost >= 0) give_up();
        const size_t mine = generation;
        if (++arrived == published.size()) {
            arrived = 0;
            generation++;
            event.notify_all();
            return;
        }
        event.wait(lock, [&] { return generation != mine || launch.lost >= 0; });
        if (generation == mine) give_up();
    }
    [[noreturn]] void give_up() const { fail(Exit::peer_lost, "rank " + std::to_string(launch.lost) + " is lost"); }
};

void Launch::lose(int rank, std::exception_ptr why) {
    std::lock_guard lock(mutex);
    if (lost >= 0) return;
    lost = rank;
    cause = why;
    for (const auto& group : groups) group->event.notify_all();
}

class Threads : public Comm {
 public:
    Threads(std::shared_ptr<Group> group, int rank, int launch_rank)
        : group_(std::move(group)), rank_(rank), launch_rank_(launch_rank) {}
    int rank() const override { return rank_; }
    int size() const override { return int(group_->published.size()); }

    std::unique_ptr<Comm> split(int color) override {
        group_->colors[size_t(rank_)] = color;
        group_->wait();
        int subrank = 0, subsize = 0;
        for (int r = 0; r < size(); r++)
            if (group_->colors[size_t(r)] == color) {
                subrank += r < rank_;
                subsize++;
            }
        if (subrank == 0) {  // the lowest rank of each color makes the group
            std::lock_guard lock(group_->launch.mutex);
            group_->subgroups[color] =
                group_->launch.groups.emplace_back(std::make_shared<Group>(group_->launch, size_t(subsize)));
        }
        group_->wait();
        std::shared_ptr<Group> subgroup;
        {
            std::lock_guard lock(group_->launch.mutex);
            subgroup = group_->subgroups.at(color);
        }
        group_->wait();  // a later split may replace the entry
        return std::make_unique<Threads>(subgroup, subrank, launch_rank_);
    }
    void broadcast(void* x, size_t bytes, int root) override {
        count_bytes(int64_t(bytes), 1);
        publish(x);
        if (rank_ != root) std::memcpy(x, published(root).data, bytes);
        group_->wait();
    }
    void barrier() override { group_->wait(); }
    void abort(int code) override {
        const Failure ended(Exit(code), "rank " + std::to_string(launch_rank_) + " ended the run");
        group_->launch.lose(launch_rank_, std::make_exception_ptr(ended));
        throw ended;
    }
    std::string name_in_launch() const override {
        return "rank " + std::to_string(launch_rank_) + " on " + host_name();
    }
    std::string who_is_lost() const override {
        const std::lock_guard lock(group_->launch.mutex);
        const int lost = group_->launch.lost;
        return lost < 0 ? kAllThere : "lost: rank " + std::to_string(lost) + " on " + host_name();
    }

 private:
    void publish(const void* x, const int64_t* counts = nullptr) {
        group_->published[size_t(rank_)] = {x, counts};
        group_->wait();
    }
    const Published& published(int rank) const { return group_->published[size_t(rank)]; }

    // total (count) = the sum over ranks of elements [begin, begin + count) of their data.
    template <class T>
    void sum(T* total, int64_t begin, int64_t count) const {
        for (int r = 0; r < size(); r++) {
            const T* x = static_cast<const T*>(published(r).data) + begin;
            for (int64_t i = 0; i < count; i++) total[i] = r == 0 ? x[i] : total[i] + x[i];
        }
    }
    void sum(void* total, int64_t begin, int64_t count, Number type) const {
        switch (type) {
            case Number::f32:
                return sum(static_cast<float*>(total), begin, count);
            case Number::f64:
                return sum(static_cast<double*>(total), begin, count);
            case Number::i64:
                return sum(static_cast<int64_t*>(total), begin, count);
            case Number::bf16:
                break;
        }
        check(false, "bf16 is not summed in the host's memory");
    }

    void reduce(void* x, int64_t count, Number type) override {
        const size_t bytes = size_t(count) * bytes_of(type);
        if (total_.size() < bytes) total_.resize(bytes);
        publish(x);
        sum(total_.data(), 0, count, type);
        group_->wait();
        if (bytes > 0) std::memcpy(x, total_.data(), bytes);
    }
    void scatter(void* out, const void* in, const int64_t* counts, Number type) override {
        int64_t begin = 0;  // of this rank's slice
        for (int r = 0; r < rank_; r++) begin += counts[r];
        publish(in);
        sum(out, begin, counts[rank_], type);
        group_->wait();
    }
    void gather(void* out, const void* in, const int64_t* counts, size_t item) override {
        publish(in);
        int64_t at = 0;
        for (int r = 0; r < size(); at += counts[r++])
            copy(static_cast<char*>(out) + size_t(at) * item, published(r).data, size_t(counts[r]) * item);
        group_->wait();
    }
    void gather(void* out, const void* in, int64_t count, size_t item) override {
        const size_t bytes = size_t(count) * item;
        publish(in);
        for (int r = 0; r < size(); r++) copy(static_cast<char*>(out) + size_t(r) * bytes, published(r).data, bytes);
        group_->wait();
    }
    void exchange(void* out, const int64_t* out_counts, const void* in, const int64_t* in_counts,
                  size_t item) override {
        publish(in, in_counts);
        int64_t at = 0;  // in out: after what lower ranks sent
        for (int r = 0; r < size(); at += out_counts[r++]) {
            int64_t from = 0;  // in rank r's data: after what it sends to lower ranks
            for (int i = 0; i < rank_; i++) from += published(r).counts[i];
            check(published(r).counts[rank_] == out_counts[r], "an all_to_all whose counts differ");
            copy(static_cast<char*>(out) + size_t(at) * item,
                 static_cast<const char*>(published(r).data) + size_t(from) * item, size_t(out_counts[r]) * item);
        }
        group_->wait();
    }
    static void copy(void* out, const void* in, size_t bytes) {
        if (bytes > 0 && out != in) std::memcpy(out, in, bytes);
    }

    std::shared_ptr<Group> group_;
    int rank_, launch_rank_;
    std::vector<char> total_;  // sum of an all_reduce: a rank's x must not change before all have read it
};

}  // namespace

void run_threads(int ranks, const std::function<void(Comm&)>& body) {
    Launch launch;
    const auto group = launch.groups.emplace_back(std::make_shared<Group>(launch, size_t(ranks)));
    std::vector<std::thread> threads;
    for (int r = 0; r < ranks; r++)
        threads.emplace_back([&, r] {
            try {
                Threads comm(group, r, r);
                body(comm);
            } catch (...) { launch.lose(r, std::current_exception()); }
        });
    for (auto& t : threads) t.join();
    if (launch.cause) std::rethrow_exception(launch.cause);
}

}  // namespace sluice
