// Which ranks are alive. Every rank answers on a TCP port of its own, whatever its main thread is waiting for, so that
// a rank whose collective hangs can find out which others are killed, stopped or unreachable.
#pragma once
#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace sluice {

class LivenessProbe {
 public:
    LivenessProbe();  // answers from now on; without a free port the others will report this rank as lost
    ~LivenessProbe();

    static constexpr size_t kEndpoint = 512;  // bytes of an endpoint, padded with zeros
    std::string endpoint() const;             // where this rank answers: host name, port, IPv4 addresses
    void set_endpoints(const std::vector<std::string>& endpoints) { endpoints_ = endpoints; }  // by rank

    // Ranks other than `self` that do not answer within `seconds`.
    std::vector<int> missing(int self, double seconds) const;
    std::string host(int rank) const;

 private:
    void answer();

    int listener_ = -1, port_ = 0;
    std::vector<std::string> endpoints_;
    std::atomic<bool> ending_{false};
    std::thread thread_;
};

}  // namespace sluice
