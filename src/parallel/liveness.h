// Which ranks are alive. A thread of every rank answers on a TCP port, whatever the main thread is waiting for. So a
// rank whose collective hangs can find out which others are killed, stopped or unreachable.
#pragma once
#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace sluice {

constexpr const char* kAllThere = "all ranks are there, but one is slower than parallel.timeout or waits elsewhere";

class LivenessProbe {
 public:
    LivenessProbe();  // starts to answer; without a free port the others will report this rank as lost
    ~LivenessProbe();

    static constexpr size_t kEndpoint = 512;  // largest size of an endpoint, in bytes
    std::string endpoint() const;             // where this rank answers: host name, port, IPv4 addresses
    void set_endpoints(const std::vector<std::string>& endpoints) { endpoints_ = endpoints; }  // of all ranks, by rank

    // Ranks other than `self` that do not answer within `seconds`.
    std::vector<int> missing(int self, double seconds) const;
    std::string host(int rank) const;  // the name of a rank's machine
    // The same as text, "lost: rank 3 on node8, rank 4 on node9", within two seconds.
    std::string who_is_lost(int self) const;

 private:
    void answer();

    int listener_ = -1, port_ = 0;
    std::vector<std::string> endpoints_;
    std::atomic<bool> ending_{false};
    std::thread thread_;
};

}  // namespace sluice
