// Watches NCCL's work on one rank, since a collective whose other ranks are gone never ends, nor what waits for it.
#pragma once
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "kernels/nccl.h"
#include "parallel/comm.h"

namespace sluice {

class NcclWatch {
 public:
    NcclWatch(std::shared_ptr<Nccl> nccl, Comm& world, double timeout);
    ~NcclWatch();

    // Throws Failure(Exit::peer_lost) once all ranks are being ended: what collectives left in memory is of no use.
    void require() const;
    bool ended() const { return ended_; }

 private:
    void watch();
    // What is amiss now; empty: nothing.
    std::string trouble(const std::optional<NcclWork>& work) const;
    void end_all(const std::string& line);

    std::shared_ptr<Nccl> nccl_;
    Comm& world_;
    const double timeout_;
    std::string line_;  // before ended_
    std::atomic<bool> ended_{false};
    std::mutex mutex_;
    std::condition_variable event_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace sluice
