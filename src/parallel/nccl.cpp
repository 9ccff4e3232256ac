#include "parallel/nccl.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/format.h"
#include "base/machine.h"
#include "parallel/collective.h"
#include "parallel/nccl_watch.h"
#include "parallel/staged.h"

namespace sluice {
namespace {

constexpr double kClose = 30;  // seconds that NCCL may take to end in order

// What the groups of a mesh have in common on one rank: the communicators, one for each different set of ranks.
class NcclRank {
 public:
    NcclRank(std::unique_ptr<Nccl> nccl, Comm& world, Memory& memory, double timeout)
        : memory(memory),
          nccl_(std::move(nccl)),
          world_(world),
          timeout_(timeout),
          exceptions_(std::uncaught_exceptions()),
          watch_(std::make_unique<NcclWatch>(nccl_, world, timeout)) {}
    ~NcclRank() {
        const bool ended = watch_->ended();
        watch_.reset();
        if (ended || std::uncaught_exceptions() > exceptions_)
            nccl_->abort();  // the others may never come to the end of what is queued
        else
            nccl_->close(std::min(timeout_, kClose));
    }

    // Collective over the group: the number of its communicator.
    int communicator(const char* name, Comm& group) {
        std::vector<int> members(size_t(group.size()));
        const int mine = world_.rank();
        group.all_gather(members.data(), &mine, 1);
        if (const auto found = communicators_.find(members); found != communicators_.end()) return found->second;
        NcclId id{};
        if (group.rank() == 0) id = nccl_->new_id();
        group.broadcast(id.data(), id.size(), 0);
        const int made = nccl_->open(name, group.size(), group.rank(), id);
        for (const double since = steady_seconds(); !nccl_->opened(made);) {
            if (steady_seconds() - since > timeout_)
                fail(Exit::peer_lost,
                     fmt::format("{}: NCCL does not make the communicator of group {} within {} (parallel.timeout); {}",
                                 world_.name_in_launch(), name, format_seconds(timeout_), world_.who_is_lost()));
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return communicators_[members] = made;
    }
    Nccl& nccl() const {
        watch_->require();
        return *nccl_;
    }
    void forget_together() noexcept { nccl_->forget(); }

    Memory& memory;

 private:
    std::shared_ptr<Nccl> nccl_;
    Comm& world_;
    const double timeout_;
    const int exceptions_;
    std::map<std::vector<int>, int> communicators_;  // by ranks of the world, in the group's order
    std::unique_ptr<NcclWatch> watch_;
};

}  // namespace

class NcclComm final : public Comm {
 public:
    NcclComm(std::shared_ptr<NcclRank> of_rank, std::unique_ptr<Comm> host, const char* name, const Mesh& mesh)
        : of_rank_(std::move(of_rank)), host_(std::move(host)), mesh_(mesh) {
        comm_ = of_rank_->communicator(name, *host_);
    }

    int rank() const override { return host_->rank(); }
    int size() const override { return host_->size(); }
    std::unique_ptr<Comm> split(int color) override {
        auto part = host_->split(color);
        if (part->size() == 1) return staged_comm(std::move(part), of_rank_->memory, &mesh_.stream);
        return std::make_unique<NcclComm>(of_rank_, std::move(part), "part", mesh_);
    }
    void broadcast(void* x, size_t bytes, int root) override {
        count_bytes(int64_t(bytes), 1);
        nccl().broadcast(place("broadcast"), x, bytes, root);
    }
    void barrier() override {
        of_rank_->memory.wait(mesh_.stream);
        nccl();
        host_->barrier();
    }
    void finish() override { nccl().join(place("finish")); }
    void require() const override { nccl(); }
    bool only_queues() const override { return true; }
    void abort(int code) override { host_->abort(code); }
    std::string name_in_launch() const override { return host_->name_in_launch(); }
    std::string who_is_lost() const override { return host_->who_is_lost(); }

 private:
    Nccl& nccl() const { return of_rank_->nccl(); }
    NcclPlace place(const char* what, bool aside = false) const {
        return {comm_, mesh_.stream, aside, what, mesh_.step};
    }
    // `count` of every rank.
    const int64_t* counts(int64_t count) {
        counts_.assign(size_t(size()), count);
        return counts_.data();
    }

    void reduce(void* x, int64_t count, Number type) override {
        nccl().all_reduce(place("all_reduce"), x, count, type);
    }
    void scatter(void* out, const void* in, const int64_t* counts, Number type) override {
        nccl().reduce_scatter(place("reduce_scatter"), out, in, counts, type);
    }
    void gather(void* out, const void* in, const int64_t* counts, size_t item) override {
        nccl().all_gather(place("all_gather"), out, in, counts, item);
    }
    void gather(void* out, const void* in, int64_t count, size_t item) override {
        nccl().all_gather(place("all_gather"), out, in, counts(count), item);
    }
    void exchange(void* out, const int64_t* out_counts, const void* in, const int64_t* in_counts,
                  size_t item) override {
        nccl().all_to_all(place("all_to_all"), out, out_counts, in, in_counts, item);
    }
    void start_reduce(void* x, int64_t count, Number type) override {
        nccl().all_reduce(place("all_reduce", true), x, count, type);
    }
    void start_scatter(void* out, const void* in, const int64_t* counts, Number type) override {
        nccl().reduce_scatter(place("reduce_scatter", true), out, in, counts, type);
    }
    void begin_together() override { nccl().begin(); }
    void end_together() override { nccl().end(); }
    void forget_together() noexcept override { of_rank_->forget_together(); }

    std::shared_ptr<NcclRank> of_rank_;
    std::unique_ptr<Comm> host_;
    const Mesh& mesh_;
    int comm_ = 0;
    std::vector<int64_t> counts_;
};

std::string why_no_nccl(Comm& world, const std::function<std::string(bool one_process)>& lacks) {
    const std::string mine = host_name() + " " + std::to_string(getpid());
    const bool one_process = first_other(world, mine) < 0;
    const bool elsewhere = from_rank_zero(world, host_name()) != host_name();
    std::string why = lacks(one_process);
    if (!why.empty() && elsewhere) why = "on " + host_name() + ": " + why;
    const int64_t lacking = !why.empty();
    std::vector<int64_t> all(size_t(world.size()));
    world.all_gather(all.data(), &lacking, 1);
    const auto first = std::find(all.begin(), all.end(), 1);
    if (first == all.end()) return "";
    int64_t bytes = int64_t(why.size());
    world.broadcast(&bytes, sizeof bytes, int(first - all.begin()));
    why.resize(size_t(bytes));
    world.broadcast(why.data(), why.size(), int(first - all.begin()));
    return why;
}

MakeGroup nccl_groups(std::unique_ptr<Nccl> nccl, Comm& world, Memory& memory, double timeout) {
    return [of_rank = std::make_shared<NcclRank>(std::move(nccl), world, memory, timeout)](
               std::unique_ptr<Comm> host, const char* name, const Mesh& mesh) -> std::unique_ptr<Comm> {
        return std::make_unique<NcclComm>(of_rank, std::move(host), name, mesh);
    };
}

}  // namespace sluice
