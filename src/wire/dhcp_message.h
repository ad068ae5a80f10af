// The DHCP message format (RFC 2131 section 2, RFC 2132), apart from what a server does with it.
#pragma once

#include <cstdint>
#include <optional>

#include "base/ip.h"
#include "base/mac.h"
#include "wire/headers.h"

namespace vmnet {

enum class DhcpType : uint8_t {
  kDiscover = 1,
  kOffer = 2,
  kRequest = 3,
  kDecline = 4,
  kAck = 5,
  kNak = 6,
  kRelease = 7,
  kInform = 8,
};

enum class DhcpOption : uint8_t {
  kPad = 0,
  kSubnetMask = 1,
  kRouter = 3,
  kDnsServers = 6,
  kMtu = 26,
  kRequestedAddress = 50,
  kLeaseTime = 51,
  kOverload = 52,
  kMessageType = 53,
  kServerId = 54,
  kParameterList = 55,
  kRenewalTime = 58,
  kRebindingTime = 59,
  kClientId = 61,
  kRelayAgent = 82,
  kEnd = 255,
};

// A request as received; the spans lie in its frame.
struct DhcpRequest {
  static constexpr uint16_t kBroadcastFlag = 0x8000;

  uint32_t transaction = 0;
  uint16_t flags = 0;
  Ipv4 client;  // ciaddr
  Ipv4 relay;   // giaddr
  Mac hardware;
  Bytes hardware_field;  // the 16 bytes of chaddr
  DhcpType type{};
  std::optional<Ipv4> requested;
  std::optional<Ipv4> server_id;
  Bytes client_id;    // empty: none
  Bytes relay_agent;  // RFC 3046, empty: none
  Bytes parameters;   // codes of the options asked for, in the client's order; empty: none

  bool wants_broadcast() const { return (flags & kBroadcastFlag) != 0; }
};

// Nothing where this is no DHCP request over Ethernet: BOOTP without a message type, a reply, an
// option that runs past its field. Reads options from the file and sname fields where overloaded.
std::optional<DhcpRequest> read_dhcp_request(Bytes message);

// The fixed part of a reply.
struct DhcpReply {
  uint32_t transaction = 0;
  uint16_t flags = 0;
  Ipv4 client;
  Ipv4 yours;
  Ipv4 relay;
  Bytes hardware_field;
};

// Writes a reply: the fixed part, then options as long as there is room for them.
class DhcpWriter {
 public:
  // `to` is at least kMinMessage bytes.
  DhcpWriter(const DhcpReply& reply, MutableBytes to);

  // An option that does not fit is left out: the caller adds the ones that matter first.
  void add(DhcpOption option, Bytes value);
  void add(DhcpOption option, uint8_t value) { add(option, Bytes(&value, 1)); }
  void add(DhcpOption option, Ipv4 address) { add_u32(option, address.value); }
  void add_u16(DhcpOption option, uint16_t value);
  void add_u32(DhcpOption option, uint32_t value);

  // Writes the end option and pads to kMinMessage; returns the message's size.
  size_t finish();

  // BOOTP relays and clients of old drop anything shorter (RFC 1542, section 2.1).
  static constexpr size_t kMinMessage = 300;

 private:
  MutableBytes to_;
  size_t size_;
};

}  // namespace vmnet
