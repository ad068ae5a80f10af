// A DHCPv4 server (RFC 2131, 2132, 6842) for exactly one VM: a frame in, a frame out. The one
// address belongs to the VM as long as its helper runs, whatever MAC address or client identifier
// it shows. But only one MAC at a time has it: a second one behind the VM (a macvlan, a nested
// bridge) would take it away from the VM. So that MAC is remembered, as long as it speaks.
#pragma once

#include <algorithm>
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

  using TimePoint = std::chrono::steady_clock::time_point;

  // Who has the address and was not heard for so long has gone, or has another MAC by now.
  static constexpr std::chrono::minutes kSilence{5};

  explicit DhcpServer(DhcpConfig config) : config_(std::move(config)) {}

  // Whether a frame comes from the MAC that has the address, and that it was heard.
  bool is_from_client(Bytes frame) const {
    constexpr size_t kSourceAt = 6;
    return client_ && frame.size() >= EthernetHeader::kSize &&
           std::equal(client_->bytes.begin(), client_->bytes.end(), frame.begin() + kSourceAt);
  }
  void heard_client(TimePoint now) { heard_ = now; }

  // Another VM may be there now.
  void forget_client() { client_.reset(); }

  // Answers the request in `frame` with a whole Ethernet frame in `out` (at least kMaxReply bytes);
  // returns its size. Nothing: no request, a malformed one, one that RFC 2131 answers with
  // silence, or another MAC's for the address. `now` does not go back. An unfinished UDP checksum
  // is as good as a right one, since guests leave it to us.
  std::optional<size_t> reply(Bytes frame, MutableBytes out, TimePoint now = {});

 private:
  bool is_anothers(const Mac& mac, TimePoint now) const {
    return client_ && *client_ != mac && now - heard_ < kSilence;
  }

  std::optional<Mac> client_;  // has the address
  TimePoint heard_;
  DhcpConfig config_;
};

}  // namespace vmnet
