// What the helper tells its user about the interface: the one JSON line on standard output.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/ip.h"
#include "base/mac.h"
#include "base/uuid.h"
#include "platform/config.h"

namespace vmnet {

// --network: what is told of a named network.
struct NamedNetwork {
  Ipv4 ipv4_subnet;  // the gateway's address
  Ipv4 ipv4_mask;
  std::optional<Ipv6> ipv6_prefix;
  int ipv6_prefix_length = 0;
};

struct Description {
  Uuid interface_id;
  Mac mac;
  uint64_t mtu = kMtu;
  uint64_t max_packet_size = kMaxFrameSize;
  std::optional<AddressRange> addresses;  // shared and host mode
  std::optional<Ipv6> nat66_prefix;       // shared mode, where the host has IPv6
  // The most frames that one call takes from the host's end, and brings to it.
  uint64_t read_max_packets = kBatchFrames;
  uint64_t write_max_packets = kBatchFrames;
  std::optional<NamedNetwork> named_network;
  std::optional<Ipv4> ip_address;  // what DHCP gives this VM
  // --tap: bytes of the virtio-net header before each frame, as the device is handed over.
  std::optional<uint64_t> tap_header_size;
  std::string host_interface;  // the host-side device, empty: not said
};

// One line without its line end. Pure.
std::string to_json(const Description& description);

}  // namespace vmnet
