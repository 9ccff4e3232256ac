#include "parallel/liveness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <iterator>
#include <sstream>

#include "base/machine.h"

namespace sluice {
namespace {

constexpr char kAlive = 'h';  // the byte with which a rank answers

// This machine's IPv4 addresses that other machines may reach.
std::vector<std::string> addresses() {
    std::vector<std::string> found;
    ifaddrs* all = nullptr;
    if (getifaddrs(&all) == 0) {
        for (ifaddrs* i = all; i; i = i->ifa_next) {
            if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK)) continue;
            char text[INET_ADDRSTRLEN] = "";
            const auto* address = reinterpret_cast<const sockaddr_in*>(i->ifa_addr);
            if (inet_ntop(AF_INET, &address->sin_addr, text, sizeof text)) found.emplace_back(text);
        }
        freeifaddrs(all);
    }
    return found;
}

// Starts to connect without waiting. Returns the socket, or -1.
int begin_connect(const std::string& address, int port) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(uint16_t(port));
    if (inet_pton(AF_INET, address.c_str(), &to.sin_addr) != 1) return -1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 || errno == EINPROGRESS) return fd;
    close(fd);
    return -1;
}

}  // namespace

LivenessProbe::LivenessProbe() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    socklen_t size = sizeof any;
    auto* address = reinterpret_cast<sockaddr*>(&any);
    if (listener_ >= 0 && bind(listener_, address, size) == 0 && listen(listener_, 128) == 0 &&
        getsockname(listener_, address, &size) == 0)
        port_ = ntohs(any.sin_port);
    thread_ = std::thread([this] { answer(); });
}

LivenessProbe::~LivenessProbe() {
    ending_ = true;
    thread_.join();
    if (listener_ >= 0) close(listener_);
}

void LivenessProbe::answer() {
    while (!ending_) {
        pollfd waiting{listener_, POLLIN, 0};
        if (poll(&waiting, 1, 50) <= 0) continue;
        const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) continue;
        send(fd, &kAlive, 1, MSG_NOSIGNAL);
        close(fd);
    }
}

std::string LivenessProbe::endpoint() const {
    std::string text = host_name() + " " + std::to_string(port_);
    for (const auto& address : addresses())
        if (text.size() + address.size() + 1 < kEndpoint) text += " " + address;
    return text;
}

std::string LivenessProbe::host(int rank) const {
    std::string host = "unknown";
    std::istringstream(endpoints_.at(size_t(rank))) >> host;
    return host;
}

std::vector<int> LivenessProbe::missing(int self, double seconds) const {
    struct Call {
        int rank, fd;
    };
    std::vector<Call> calls;
    std::vector<bool> alive(endpoints_.size(), false);
    alive[size_t(self)] = true;
    // Call every address of every other rank at once: some may be unreachable from here.
    for (int r = 0; r < int(endpoints_.size()); r++) {
        if (r == self) continue;
        std::istringstream endpoint(endpoints_[size_t(r)]);
        std::string host, address;
        int port = 0;
        endpoint >> host >> port;
        std::vector<std::string> all{std::istream_iterator<std::string>(endpoint), {}};
        if (host == host_name()) all.push_back("127.0.0.1");
        for (const auto& a : all)
            if (const int fd = begin_connect(a, port); fd >= 0) calls.push_back({r, fd});
    }
    // Until the time is over, take answers as they come. One address that answers is enough.
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (!calls.empty() && std::chrono::steady_clock::now() < end) {
        std::vector<pollfd> waiting;
        for (const Call& c : calls) waiting.push_back({c.fd, POLLIN, 0});
        poll(waiting.data(), waiting.size(), 50);
        for (size_t i = calls.size(); i-- > 0;) {
            if (waiting[i].revents == 0) continue;
            char answer = 0;
            if (recv(calls[i].fd, &answer, 1, 0) == 1 && answer == kAlive) alive[size_t(calls[i].rank)] = true;
            close(calls[i].fd);
            calls.erase(calls.begin() + long(i));
        }
    }
    for (const Call& c : calls) close(c.fd);
    std::vector<int> lost;
    for (int r = 0; r < int(alive.size()); r++)
        if (!alive[size_t(r)]) lost.push_back(r);
    return lost;
}

std::string LivenessProbe::who_is_lost(int self) const {
    const auto lost = missing(self, 2);
    if (lost.empty()) return kAllThere;
    std::string text = "lost:";
    for (size_t i = 0; i < lost.size() && i < 8; i++)
        text += (i ? ", rank " : " rank ") + std::to_string(lost[i]) + " on " + host(lost[i]);
    return lost.size() > 8 ? text + " and " + std::to_string(lost.size() - 8) + " more" : text;
}

}  // namespace sluice
