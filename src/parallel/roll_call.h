// Who is still there? Every rank answers on a TCP port of its own, whatever its main thread is waiting for; so one that
// gets no answer in a collective can find out which ranks are lost: killed, stopped, or cut off.
#pragma once
#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace sluice {

class RollCall {
 public:
    RollCall();  // answers from now on; where no port can be had, others will take this rank for lost
    ~RollCall();

    static constexpr size_t kCard = 512;  // bytes of a card, zeros included
    std::string card() const;             // where this rank answers: host name, port, IPv4 addresses
    void meet(const std::vector<std::string>& cards) { cards_ = cards; }  // of all ranks, by rank

    // Ranks that do not answer within `seconds`, but for `self`.
    std::vector<int> missing(int self, double seconds) const;
    std::string host(int rank) const;

 private:
    void answer();

    int listener_ = -1, port_ = 0;
    std::vector<std::string> cards_;
    std::atomic<bool> ending_{false};
    std::thread thread_;
};

}  // namespace sluice
