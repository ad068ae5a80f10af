// Path MTUs that routers told the VM of (RFC 1191, RFC 8201), read as they pass by.
//
// A VM with offload hands over a stream's bytes in frames of up to 64 KiB and does not say into
// which size they are to be cut. The MTU of its interface is right until a link on the way is
// smaller (a VPN): then routers refuse what we cut, the VM hears of it, sends the same large frames
// again, and nothing would ever arrive.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "wire/headers.h"

namespace vmnet {

// One thread learns and one asks, at the same time.
class PathMtus {
 public:
  using Clock = std::chrono::steady_clock;

  // `now`: the time; tests have their own.
  explicit PathMtus(Clock::time_point (*now)() = Clock::now) : now_(now) {}

  // Remembers what `frame`, on its way to the VM, says where it is an ICMP "fragmentation needed"
  // or an ICMPv6 "packet too big" with a right checksum; other frames cost a few comparisons.
  void learn(Bytes frame);

  // Nothing was learned yet, as nearly always: mtu_for() would return its `mtu`.
  bool empty() const { return !any_.load(std::memory_order_relaxed); }

  // The largest packet that the path of `frame`, which the VM sends, takes; at most `mtu`, and
  // `mtu` for all but TCP: whoever sends datagrams chooses their size, or measures the path with
  // them.
  size_t mtu_for(Bytes frame, size_t mtu) const;

 private:
  // As many destinations at once as a small VM has slow streams to; the oldest is forgotten first.
  static constexpr size_t kEntries = 64;
  // After that the path may be another one: RFC 1191, section 6.3; Linux' mtu_expires.
  static constexpr std::chrono::minutes kLifetime{10};

  struct Entry {
    std::array<uint8_t, 16> destination{};
    size_t address_size = 0;  // 0: free
    size_t mtu = 0;
    Clock::time_point learned;
  };

  size_t towards(Bytes destination, size_t mtu) const;
  void remember(Bytes destination, size_t mtu);

  Clock::time_point (*now_)();
  mutable std::mutex mutex_;
  std::atomic<bool> any_ = false;
  std::array<Entry, kEntries> entries_{};
};

}  // namespace vmnet
