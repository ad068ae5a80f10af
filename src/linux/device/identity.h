// The numbers that follow from a name: the same user's interface id gives the same MAC and prefers
// the same address on every run, and a network keeps its gateway's MAC and its IPv6 prefix, without
// a file that remembers them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/ip.h"
#include "base/mac.h"
#include "base/uuid.h"

namespace vmnet {

// The first three bytes of every bridge's MAC (locally administered unicast): what marks it ours.
inline constexpr std::array<uint8_t, 3> kBridgeMacPrefix = {0x0e, 0x76, 0x6d};

// A well-mixed 64-bit hash: FNV-1a with a finaliser. Not cryptographic: it spreads, it hides
// nothing.
uint64_t mixed_hash(std::string_view bytes);

// The first two bytes ("vm") of every MAC that is made for a VM (locally administered unicast): no
// VM gets such a MAC protected by using it, so none can hold another's while that is away.
inline constexpr std::array<uint8_t, 2> kVmMacPrefix = {0x76, 0x6d};

// Who a VM is. A name that a user gives is that user's alone: everybody can read it on the devices,
// and nobody becomes another's VM by giving it.
struct VmIdentity {
  uid_t user = 0;  // the real user; root without SUDO_UID is 0
  Uuid interface_id;
  bool operator==(const VmIdentity&) const = default;
};

// "1000 2F8D5B1C-…": what a user's name is to everybody. The input of the hashes.
std::string users_name(uid_t user, std::string_view name);
std::string to_string(const VmIdentity& vm);

// The VM's MAC, and whether a MAC could be some VM's.
bool is_vm_mac(const Mac& mac);
Mac vm_mac(const VmIdentity& vm);

// The MAC of the host's end of a VM's cable, a bridge's port: of the highest there are, since a
// bridge whose MAC was not set by hand takes the lowest of its ports'
// (br_stp_recalculate_bridge_id).
inline constexpr std::array<uint8_t, 3> kPortMacPrefix = {0xfe, 0xff, 0xff};
Mac port_mac(const VmIdentity& vm);

// A virtual router's (RFC 5798: VRRP, for IPv4 and IPv6; CARP has the same): whichever of its
// machines is up has it, so none can keep it.
bool is_virtual_router_mac(const Mac& mac);

// Where in a pool of `pool_size` addresses the search for this VM's address begins.
uint32_t preferred_address_index(const VmIdentity& vm, uint32_t pool_size);

// Where among `count` subnets the search for that of a named network begins.
uint32_t preferred_subnet_index(std::string_view network_name, uint32_t count);

// The MAC of the bridge of the network described by `network_name` (its canonical text).
Mac bridge_mac(std::string_view network_name);

// A unique local /64 (RFC 4193): fd + 40 bits that are the host's + 16 of the network. The host's
// machine id is only an input to the hash, which keeps 40 of its bits.
Ipv6 unique_local_prefix(std::string_view machine_id, std::string_view network_name);

// fe80::, and the gateway's address there on every link of ours that has IPv6.
inline constexpr Ipv6 kLinkLocalPrefix{{0xfe, 0x80}};
inline constexpr Ipv6 kGatewayLinkLocal{{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

// The gateway's address in a network's /64.
Ipv6 gateway_of(const Ipv6& prefix);

// The address with that prefix (a /64) which a VM with that MAC gives itself (RFC 4291, modified
// EUI-64).
Ipv6 address_from_mac(const Ipv6& prefix, const Mac& mac);

}  // namespace vmnet
