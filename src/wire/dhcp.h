// A DHCPv4 server (RFC 2131, 2132, 6842) for exactly one VM: a frame in, a frame out. It keeps no
// state: the one address belongs to the VM as long as its helper runs, whatever MAC address or
// client identifier it shows, so there is nothing to remember, to expire or to exhaust.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/ip.h"
#include "base/mac.h"
#include "wire/headers.h"

namespace vmnet {

inline constexpr uint16_t kDhcpServerPort = 67;
inline constexpr uint16_t kDhcpClientPort = 68;

struct DhcpConfig {
  Ipv4 gateway;  // the server's own address and identifier
  Mac gateway_mac;
  Ipv4Subnet subnet;
  Ipv4 address;                   // what the VM gets
  std::optional<Ipv4> router;     // none: the VM has no route out (host mode)
  std::vector<Ipv4> dns_servers;  // none: the option is left out
  uint16_t mtu = 1500;

  // A day, as most networks: renewing costs nothing here, but a VM that slept longer than its lease
  // loses its connections, and one that outlives its helper should ask again some time.
  std::chrono::seconds lease = std::chrono::hours(24);
};

class DhcpServer {
 public:
  // A reply never needs more room: Ethernet with a priority tag, and an IPv4 packet of 576 bytes,
  // the size that any client must take (RFC 2131, section 2).
  static constexpr size_t kMaxReply = EthernetHeader::kSize + EthernetHeader::kTagSize + 576;

  explicit DhcpServer(DhcpConfig config) : config_(std::move(config)) {}

  // Answers the request in `frame` with a whole Ethernet frame in `out` (at least kMaxReply bytes);
  // returns its size. Nothing: no request, a malformed one, or one that RFC 2131 answers with
  // silence. An unfinished UDP checksum is as good as a right one, since guests leave it to us.
  std::optional<size_t> reply(Bytes frame, MutableBytes out) const;

 private:
  DhcpConfig config_;
};

}  // namespace vmnet
