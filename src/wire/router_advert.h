// Router advertisements (RFC 4861, 4862, 8106) for one VM: what a solicitation is answered with,
// and what is sent unasked. Pure; the schedule is the caller's.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/mac.h"
#include "wire/headers.h"

namespace vmnet {

// ICMPv6 types (RFC 4861).
inline constexpr uint8_t kRouterSolicitation = 133;
inline constexpr uint8_t kRouterAdvertisement = 134;
inline constexpr uint8_t kNeighborSolicitation = 135;
inline constexpr uint8_t kNeighborAdvertisement = 136;
inline constexpr uint8_t kRedirect = 137;

struct RouterAdvertConfig {
  Ipv6 prefix;  // a /64
  Ipv6 gateway_link_local;
  Mac gateway_mac;
  std::vector<Ipv6> dns_servers;  // none: the option is left out
  uint32_t mtu = 1500;
  bool is_default_router = true;  // false: addresses, but no route out (host mode)
};

// RFC 4861, section 6.2.1 and 10: times between unsolicited advertisements.
inline constexpr auto kMaxAdvertInterval = std::chrono::seconds(600);
inline constexpr auto kMinAdvertInterval = std::chrono::seconds(200);
inline constexpr auto kMaxInitialAdvertInterval = std::chrono::seconds(16);
inline constexpr int kInitialAdverts = 3;

class RouterAdvertiser {
 public:
  // An advertisement never needs more room (eight DNS servers).
  static constexpr size_t kMaxReply = 300;

  explicit RouterAdvertiser(RouterAdvertConfig config) : config_(std::move(config)) {}

  // Answers a valid solicitation (RFC 4861, section 6.1.1; an unfinished checksum counts as right)
  // with a frame in `out` (at least kMaxReply bytes): to its sender, or to all nodes where that has
  // no address yet. Returns the frame's size.
  std::optional<size_t> reply(Bytes frame, MutableBytes out) const;

  // The unsolicited advertisement, to all nodes.
  size_t advertise(MutableBytes out) const;

 private:
  size_t write(const EthernetHeader& ethernet, const Ipv6& destination, MutableBytes out) const;

  RouterAdvertConfig config_;
};

}  // namespace vmnet
