// What the user asked of the network, checked: the part of the command line that both back ends
// read. Filled by helper/options, in one place, so that a back end meets no half-valid request.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/uuid.h"

namespace vmnet {

enum class Mode { kShared, kBridged, kHost };

// The addresses of a network, checked: private (RFC 1918), start < end, both inside the subnet and
// neither its network nor its broadcast address. `start` is the gateway; start+1 to `end` is the
// DHCP pool.
struct AddressRange {
  Ipv4 start;
  Ipv4 end;
  int prefix_length = 24;

  Ipv4Subnet subnet() const { return subnet_of(start, prefix_length); }
  bool operator==(const AddressRange&) const = default;
};

// The same as asked of macOS, where vmnet judges them: each as given, or none.
struct UnjudgedAddresses {
  std::optional<Ipv4> start;
  std::optional<Ipv4> end;
  std::optional<Ipv4> mask;

  bool operator==(const UnjudgedAddresses&) const = default;
};

// --network-id: a network of its own, and the host's address in it if there is to be one.
struct PrivateNetwork {
  Uuid id;
  std::optional<AddressRange> addresses;  // start: --host-ip-address
};

struct NetworkConfig {
  Mode mode = Mode::kShared;
  std::optional<Uuid> interface_id;       // --interface-id
  std::string shared_interface;           // bridged mode only, else empty
  std::optional<AddressRange> addresses;  // Linux: explicit subnet, else automatic
  UnjudgedAddresses unjudged_addresses;   // macOS
  std::optional<PrivateNetwork> private_network;
  std::string network_name;        // --network (on Linux one DNS label in lower case), else empty
  std::optional<Ipv4> vm_address;  // --ip-address
  std::vector<Ipv4> dns_servers;   // --dns, IPv4 ones; both empty: the host's own
  std::vector<Ipv6> dns_servers_ipv6;
  bool enable_tso = false;
  bool enable_checksum_offload = false;
  bool enable_isolation = false;
  bool hand_over_device = false;  // --tap: the VM gets the host's device itself
};

// Frame sizes of the contract: Ethernet header included, no FCS.
inline constexpr int kMtu = 1500;
inline constexpr size_t kEthernetHeaderSize = 14;
inline constexpr size_t kMaxFrameSize = kMtu + kEthernetHeaderSize;
inline constexpr size_t kMaxOffloadFrameSize = 65550;

// So many frames are taken from an end of the cable at a time.
inline constexpr size_t kBatchFrames = 64;

// The largest frame that may cross the VM's socket under `config`, in a network of that MTU.
inline size_t max_frame_size(const NetworkConfig& config, size_t mtu) {
  if (config.enable_tso) return kMaxOffloadFrameSize;
  return std::min(mtu + kEthernetHeaderSize, kMaxOffloadFrameSize);
}

}  // namespace vmnet
