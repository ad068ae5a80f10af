// Round-trip times of UDP datagrams of 64 bytes, one under way at a time.
//
//   round-trip echo                    answers on port 7 of every address, IPv4 and IPv6
//   round-trip ping ADDRESS SECONDS    prints {"count":..,"lost":..,"p50":..,"p99":..} in
//   microseconds

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tool.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint16_t kPort = 7;
constexpr int kPatience = 200;  // milliseconds until a datagram counts as lost
// Between two round trips: so many a second that a run has some thousand, and the machine still
// goes idle in between, as a lone request finds it.
constexpr std::chrono::microseconds kPause{200};
using Datagram = std::array<uint8_t, 64>;

int echo() {
  int fd = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(kPort);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof(any)) != 0) return 1;
  vmnet::bench::say("ready");
  while (true) {
    Datagram data{};
    sockaddr_in6 from{};
    socklen_t size = sizeof(from);
    auto* address = reinterpret_cast<sockaddr*>(&from);
    ssize_t got = ::recvfrom(fd, data.data(), data.size(), 0, address, &size);
    if (got > 0) ::sendto(fd, data.data(), static_cast<size_t>(got), 0, address, size);
  }
}

int connect_to(const char* text) {
  sockaddr_in6 target6{};
  target6.sin6_family = AF_INET6;
  target6.sin6_port = htons(kPort);
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(kPort);
  bool ipv6 = ::inet_pton(AF_INET6, text, &target6.sin6_addr) == 1;
  if (!ipv6 && ::inet_pton(AF_INET, text, &target.sin_addr) != 1) return -1;
  int fd = ::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto* address =
      ipv6 ? reinterpret_cast<sockaddr*>(&target6) : reinterpret_cast<sockaddr*>(&target);
  return ::connect(fd, address, ipv6 ? sizeof(target6) : sizeof(target)) == 0 ? fd : -1;
}

// Waits for the answer that carries `number`: an older one was counted as lost.
bool await(int fd, uint64_t number) {
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  while (::poll(&entry, 1, kPatience) == 1) {
    Datagram data{};
    uint64_t answered = 0;
    if (::recv(fd, data.data(), data.size(), MSG_DONTWAIT) < 0) continue;
    std::memcpy(&answered, data.data(), sizeof(answered));
    if (answered == number) return true;
  }
  return false;
}

int ping(const char* address, double seconds) {
  int fd = connect_to(address);
  if (fd < 0) return 1;
  std::vector<double> times;
  uint64_t lost = 0;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  for (uint64_t number = 1; Clock::now() < end; number++) {
    Datagram data{};
    std::memcpy(data.data(), &number, sizeof(number));
    const auto begin = Clock::now();
    bool answered = ::send(fd, data.data(), data.size(), 0) >= 0 && await(fd, number);
    if (answered) {
      times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    } else {
      lost++;
    }
    ::usleep(kPause.count());
  }
  std::ranges::sort(times);
  auto at = [&](size_t percent) {
    return times.empty() ? 0.0 : times[std::min(times.size() - 1, times.size() * percent / 100)];
  };
  vmnet::bench::say(fmt::format(R"({{"count":{},"lost":{},"p50":{:.1f},"p99":{:.1f}}})",
                                times.size(), lost, at(50), at(99)));
  return times.empty() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "echo") return echo();
  if (mode == "ping" && argc == 4) return ping(argv[2], vmnet::bench::seconds_of(argv[3]));
  return 1;
}
